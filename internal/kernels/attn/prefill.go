package attn

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

const panel = gemm.Panel

// padded rounds n up to whole panels.
func padded(n int) int { return (n + panel - 1) / panel * panel }

// prefill packs keys as panels [key panel][d][32] and values as [column
// panel][key][32], and goes over blocks of queries.
func (a *Args) prefill(p par.P) {
	g := gemm.Best()
	lk, dv := padded(a.LK), padded(a.DV)
	sizeK, sizeV := lk*a.D, a.LK*dv
	tiles := (a.LQ + g.MR32 - 1) / g.MR32
	step := (a.LQ + tiles - 1) / tiles // rows of a tile: evenly shared
	rows := step * max(1, 56/step)
	n := a.Batch * a.KVHeads
	buf := gemm.Borrow[float32](n * (sizeK + sizeV))
	f := prefillTasks{a, g, buf.S[:n*sizeK], buf.S[n*sizeK:], sizeK, sizeV, step, rows}
	par.Each(p, n*f.parts(), 1+(1<<15)/(part*(a.D+a.DV)), f, (*prefillTasks).pack)
	par.Each(p, a.Batch*a.Heads*f.blocks(), 1+(1<<16)/(1+rows*a.LK*(a.D+a.DV)), f, (*prefillTasks).run)
	buf.Return()
}

const part = 4 * panel // keys of a task of packing

type prefillTasks struct {
	a            *Args
	g            *gemm.Table
	ks, vs       []float32 // packed, of all heads
	sizeK, sizeV int       // of one head
	step, rows   int       // queries of a tile, of a task
}

func (f *prefillTasks) parts() int  { return (f.a.LK + part - 1) / part }
func (f *prefillTasks) blocks() int { return (f.a.LQ + f.rows - 1) / f.rows }

func (f *prefillTasks) pack(lo, hi int) {
	a, t := f.a, best()
	wide := gemm.Borrow[float32](max(a.K.room(panel, a.D), a.V.room(panel, a.DV)))
	for x := lo; x < hi; x++ {
		u, j := x/f.parts(), x%f.parts()*part
		end := min(j+part, a.LK)
		a.packKeys(t, f.ks[u*f.sizeK:], wide.S, u, j, end)
		a.packValues(f.vs[u*f.sizeV:], wide.S, u, j, end)
	}
	wide.Return()
}

func (f *prefillTasks) run(lo, hi int) {
	a, rows, dv, blocks := f.a, f.rows, padded(f.a.DV), f.blocks()
	sld := min(chunk, padded(a.LK)) + 16 // rows of scores do not share a cache set
	buf := gemm.Borrow[float32](rows * (sld + a.D + dv))
	w := work{g: f.g, t: best(), step: f.step, sld: sld, dv: dv}
	w.s, w.q, w.y = buf.S[:rows*sld], buf.S[rows*sld:][:rows*a.D], buf.S[rows*(sld+a.D):]
	states, back := borrowStates(rows)
	w.states = states
	for x := lo; x < hi; x++ {
		bh, i := x/blocks, x%blocks*rows
		u := bh/a.Heads*a.KVHeads + bh%a.Heads/(a.Heads/a.KVHeads)
		w.k, w.v = f.ks[u*f.sizeK:][:f.sizeK], f.vs[u*f.sizeV:][:f.sizeV]
		a.block(&w, bh/a.Heads, bh%a.Heads, i, min(i+rows, a.LQ))
	}
	stateBufs.Put(back)
	buf.Return()
}

// packKeys packs keys [j0, j1) of head u; j0 is the start of a panel.
func (a *Args) packKeys(t *table, dst, wide []float32, u, j0, j1 int) {
	b, h := u/a.KVHeads, u%a.KVHeads
	for j := j0; j < j1; j += panel {
		out, w := dst[j*a.D:(j+panel)*a.D], min(panel, j1-j)
		if a.D == 0 {
			continue
		}
		src, ld := a.K.rows(wide, b, h, j, w, a.D)
		done := 0
		if s := t.side; t.transpose != nil && a.D >= s {
			for ; done+s <= w; done += s {
				for i := 0; i < a.D; i += s {
					i := min(i, a.D-s) // the last block overlaps the one before
					t.transpose(unsafe.Pointer(&out[i*panel+done]), panel*4, unsafe.Add(src, 4*(done*ld+i)), 4*ld)
				}
			}
		}
		for ; done < w; done++ {
			for i, v := range floats(unsafe.Add(src, 4*done*ld), a.D) {
				out[i*panel+done] = v
			}
		}
		if w < panel {
			for i := range a.D {
				clear(out[i*panel+w : (i+1)*panel])
			}
		}
	}
}

// packValues packs values [j0, j1) of head u.
func (a *Args) packValues(dst, wide []float32, u, j0, j1 int) {
	b, h := u/a.KVHeads, u%a.KVHeads
	for j := j0; j < j1; j += panel {
		n := min(panel, j1-j)
		src, ld := a.V.rows(wide, b, h, j, n, a.DV)
		for i := range n {
			row := floats(unsafe.Add(src, 4*i*ld), a.DV)
			for c := 0; c < a.DV; c += panel {
				out := dst[(c/panel*a.LK+j+i)*panel:][:panel]
				n := copy(out, row[c:])
				clear(out[n:])
			}
		}
	}
}

// work is the working memory of a task of prefill.
type work struct {
	g             *gemm.Table
	t             *table
	step, sld, dv int
	s, q, y       []float32 // scores, scaled queries, weighted sums
	k, v          []float32 // packed, of this head
	states        []state
}

// block computes queries [i0, i1) of head h of batch b.
func (a *Args) block(w *work, b, h, i0, i1 int) {
	m := i1 - i0
	lo, hi := 0, a.LK
	if a.Span != nil || a.Mask != nil {
		lo, hi = a.LK, 0
		for i := i0; i < i1; i++ {
			if l, r := a.span(b, i, 0, a.LK); l < r {
				lo, hi = min(lo, l), max(hi, r)
			}
		}
	}
	for i := range m {
		w.states[i] = a.start(h)
		if a.D > 0 {
			w.t.scale(unsafe.Pointer(&w.q[i*a.D]), a.Q.at(b, h, i0+i, a.D), a.D, float32(a.Scale))
		}
	}
	first := true
	for j := lo / panel * panel; j < hi; j += chunk {
		n := min(chunk, hi-j)
		a.scores(w, m, j, n)
		for i := range m {
			rescale, _ := a.softmax(w.t, w.s[i*w.sld:][:padded(n)], n, &w.states[i], b, h, i0+i, j)
			if y := w.y[i*w.dv:][:w.dv]; rescale != 1 && !first {
				w.t.scale(unsafe.Pointer(&y[0]), unsafe.Pointer(&y[0]), w.dv, rescale)
			}
		}
		a.weighted(w, m, j, n, first)
		first = false
	}
	for i := range m {
		y := a.Y.at(b, h, i0+i, a.DV)
		if first {
			clear(floats(y, a.DV))
			continue
		}
		w.t.scale(y, unsafe.Pointer(&w.y[i*w.dv]), a.DV, w.states[i].inverse())
	}
}

// scores sets w.s to the products of m queries with keys [j, j+n); the columns
// up to a whole panel are written too.
func (a *Args) scores(w *work, m, j, n int) {
	if a.D == 0 {
		clear(w.s)
		return
	}
	for c := 0; c < n; c += panel {
		k := w.k[(j+c)*a.D:][:panel*a.D]
		for k0 := 0; k0 < a.D; k0 += chunk / 2 {
			kc := min(chunk/2, a.D-k0)
			for i := 0; i < m; i += w.step {
				w.g.Tile32(min(w.step, m-i), kc, unsafe.Pointer(&w.q[i*a.D+k0]), a.D, unsafe.Pointer(&k[k0*panel]), panel, unsafe.Pointer(&w.s[i*w.sld+c]), w.sld, panel, k0 > 0)
			}
		}
	}
}

// weighted adds to w.y the values of keys [j, j+n) times their weights; the old
// sums do not count if first.
func (a *Args) weighted(w *work, m, j, n int, first bool) {
	for c := 0; c < a.DV; c += panel {
		for k := 0; k < n; k += chunk / 2 {
			kc := min(chunk/2, n-k)
			v := w.v[(c/panel*a.LK+j+k)*panel:][:kc*panel]
			for i := 0; i < m; i += w.step {
				w.g.Tile32(min(w.step, m-i), kc, unsafe.Pointer(&w.s[i*w.sld+k]), w.sld, unsafe.Pointer(&v[0]), panel, unsafe.Pointer(&w.y[i*w.dv+c]), w.dv, panel, !first || k > 0)
			}
		}
	}
}
