package attn

import (
	"math"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// split is the number of keys of a task of decode.
const split = 2 * chunk

// sub is the number of keys that stay in the first-level cache while all
// queries read them.
func (a *Args) sub(rows, size int) int {
	if rows == 1 {
		return chunk
	}
	return max(4, (1<<12)/max(size, 1)&^3)
}

// decode reads keys and values in place. A task is the queries of all heads that
// share a head of keys, and split keys; what the tasks of a head found is put
// together in order afterwards.
func (a *Args) decode(p par.P) {
	group := a.Heads / a.KVHeads
	rows := group * a.LQ // of a task: [head of the group][query]
	splits := (a.LK + split - 1) / split
	tasks := a.Batch * a.KVHeads * splits
	ys := gemm.Borrow[float32](tasks * rows * a.DV)
	states, back := borrowStates(tasks * rows)
	par.Each(p, tasks, 1+(1<<12)/(1+rows*min(a.LK, split)*(a.D+a.DV)/8), decodeTasks{a, ys.S, states, rows, splits}, (*decodeTasks).run)
	t := best()
	for x := range a.Batch * a.KVHeads {
		for r := range rows {
			a.join(t, ys.S, states, x*splits*rows+r, rows, splits, x, r)
		}
	}
	stateBufs.Put(back)
	ys.Return()
}

type decodeTasks struct {
	a            *Args
	ys           []float32
	states       []state
	rows, splits int
}

func (d *decodeTasks) run(lo, hi int) {
	a, rows := d.a, d.rows
	sld := min(chunk, padded(a.LK))
	wide := max(a.K.room(a.sub(rows, a.D), a.D), a.V.room(a.sub(rows, a.DV), a.DV))
	buf := gemm.Borrow[float32](rows*(sld+a.D) + wide)
	s, q, w := buf.S[:rows*sld], buf.S[rows*sld:][:rows*a.D], buf.S[rows*(sld+a.D):]
	t := best()
	for x := lo; x < hi; x++ {
		j := x % d.splits * split
		a.part(t, s, q, w, d.ys[x*rows*a.DV:][:rows*a.DV], d.states[x*rows:][:rows], x/d.splits, j, min(j+split, a.LK))
	}
	buf.Return()
}

// join puts together the parts of row r of head u, which lie rows apart from at
// on.
func (a *Args) join(t *table, ys []float32, states []state, at, rows, splits, u, r int) {
	b, h, i := u/a.KVHeads, u%a.KVHeads*(a.Heads/a.KVHeads)+r/a.LQ, r%a.LQ
	y := floats(a.Y.at(b, h, i, a.DV), a.DV)
	if splits == 1 {
		t.scale(unsafe.Pointer(&y[0]), unsafe.Pointer(&ys[at*a.DV]), a.DV, states[at].inverse())
		return
	}
	all := state{m: negInf}
	for s := range splits {
		all.m = max(all.m, states[at+s*rows].m)
	}
	clear(y)
	if all.m == negInf {
		return
	}
	for s := range splits {
		f := math.Exp(float64(states[at+s*rows].m - all.m))
		all.sum += f * states[at+s*rows].sum
	}
	for s := range splits {
		f := math.Exp(float64(states[at+s*rows].m-all.m)) / all.sum
		if all.sum == 0 || f == 0 {
			continue
		}
		w := float32(f)
		t.weigh(unsafe.Pointer(&w), 1, unsafe.Pointer(&ys[(at+s*rows)*a.DV]), 0, unsafe.Pointer(&y[0]), a.DV)
	}
}

// part computes the weighted sums of all queries of key head u over keys
// [lo, hi), as they are before the division by the sum of the softmax. wide is
// room for a chunk of keys or values of 16 bits.
func (a *Args) part(t *table, s, q, wide, y []float32, states []state, u, lo, hi int) {
	b, kv, group := u/a.KVHeads, u%a.KVHeads, a.Heads/a.KVHeads
	rows, sld := len(states), len(s)/len(states)
	clear(y)
	from, to := hi, lo
	for r := range rows {
		h, i := kv*group+r/a.LQ, r%a.LQ
		states[r] = state{m: negInf}
		if lo == 0 {
			states[r] = a.start(h)
		}
		if a.D > 0 {
			t.scale(unsafe.Pointer(&q[r*a.D]), a.Q.at(b, h, i, a.D), a.D, float32(a.Scale))
		}
		if l, e := a.span(b, i, lo, hi); l < e {
			from, to = min(from, l), max(to, e)
		}
	}
	for j := from; j < to; j += chunk {
		n := min(chunk, to-j)
		sub := a.sub(rows, a.D)
		for c := 0; c < n; c += sub {
			w := min(sub, n-c)
			k, ld := a.K.rows(wide, b, kv, j+c, w, a.D)
			for r := range rows {
				if a.D == 0 {
					clear(s[r*sld+c : r*sld+c+w])
					continue
				}
				t.dots(unsafe.Pointer(&q[r*a.D]), a.D, k, 4*ld, w, unsafe.Pointer(&s[r*sld+c]))
			}
		}
		for r := range rows {
			h, i := kv*group+r/a.LQ, r%a.LQ
			rescale, _ := a.softmax(t, s[r*sld:][:(n+15)&^15], n, &states[r], b, h, i, j)
			if rescale != 1 && j > from {
				t.scale(unsafe.Pointer(&y[r*a.DV]), unsafe.Pointer(&y[r*a.DV]), a.DV, rescale)
			}
		}
		sub = a.sub(rows, a.DV)
		for c := 0; c < n; c += sub {
			w := min(sub, n-c)
			v, ld := a.V.rows(wide, b, kv, j+c, w, a.DV)
			for r := range rows {
				t.weigh(unsafe.Pointer(&s[r*sld+c]), w, v, 4*ld, unsafe.Pointer(&y[r*a.DV]), a.DV)
			}
		}
	}
}
