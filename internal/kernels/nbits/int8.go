package nbits

import (
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// activations are rows of floats as bytes: each block of a row has the scale
// max|x|/127, and x is the nearest integer to x/scale. free gives the memory back.
type activations struct {
	data   gemm.Buffer[int8]    // [m][blocks*block]
	scales gemm.Buffer[float32] // [blocks][m]
	sums   gemm.Buffer[int32]   // of the integers, likewise
}

func (a *activations) free() {
	a.data.Return()
	a.scales.Return()
	a.sums.Return()
}

func quantize(p par.P, x []float32, m int, w *Weights) activations {
	blocks := w.blocks()
	kb := blocks * w.Block
	a := activations{gemm.Borrow[int8](m * kb), gemm.Borrow[float32](m * blocks), gemm.Borrow[int32](m * blocks)}
	par.Each(p, m, max(1, (1<<15)/kb), quantizeRun{a, x, m, w, best()}, (*quantizeRun).run)
	if w.Zeros == nil {
		zero := int32(w.Zero)
		if w.Wide {
			zero -= best().less
		}
		for i := range a.sums.S {
			a.sums.S[i] *= -zero
		}
	}
	return a
}

// quantizeRun turns the m rows of x to bytes.
type quantizeRun struct {
	activations
	x []float32
	m int
	w *Weights
	t *table
}

// run takes rows [lo, hi).
func (r *quantizeRun) run(lo, hi int) {
	w, m := r.w, r.m
	whole, blocks := w.K/w.Block, w.blocks()
	kb := blocks * w.Block
	for i := lo; i < hi; i++ {
		row, dst := r.x[i*w.K:(i+1)*w.K], r.data.S[i*kb:(i+1)*kb]
		if whole > 0 {
			r.t.quantize(whole, w.Block, unsafe.Pointer(&row[0]), unsafe.Pointer(&dst[0]), unsafe.Pointer(&r.scales.S[i]), unsafe.Pointer(&r.sums.S[i]), 4*m)
		}
		if whole < blocks {
			rest, last := row[whole*w.Block:], dst[whole*w.Block:]
			r.scales.S[whole*m+i], r.sums.S[whole*m+i] = quantizeBlock(last[:len(rest)], rest)
			clear(last[len(rest):])
		}
	}
}

// MulInt8 is Mul with the m rows of x turned into bytes, block by block: exact
// integers within a block, of which both have the same, float32 across blocks.
// Zero points are not Reals.
func MulInt8(p par.P, x []float32, m int, w *Weights, bias, y []float32) {
	if m <= 0 {
		return
	}
	r := intRun{a: quantize(p, x, m, w), m: m, w: w, t: best(), bias: bias, y: y}
	defer r.a.free()
	panels := (w.N + Width - 1) / Width
	task := 1 << 19 // products
	if m <= few {   // some 3 µs, so that the threads finish together
		task = 1 << 17
	}
	r.high = min(m, 8*12)
	r.wide = max(1, min(panels, task/(r.high*Width*w.blocks()*w.Block)))
	r.rowTasks = (m + r.high - 1) / r.high
	par.Each(p, r.rowTasks*((panels+r.wide-1)/r.wide), 1, r, (*intRun).run)
}

// intRun is one product, in tasks of high rows and wide panels.
type intRun struct {
	a                    activations
	m                    int
	w                    *Weights
	t                    *table
	bias, y              []float32
	high, wide, rowTasks int
}

// intTile is what a thread needs for a tile.
type intTile struct {
	tile
	out [12 * Width]float32
}

var intTiles = sync.Pool{New: func() any { return new(intTile) }}

// run computes tasks [lo, hi).
func (r *intRun) run(lo, hi int) {
	w, t, m := r.w, r.t, r.m
	blocks, size := w.blocks(), panelSize(w.K, w.Block, w.Wide)
	kb := blocks * w.Block
	panels := (w.N + Width - 1) / Width
	g := intTiles.Get().(*intTile)
	for q := lo; q < hi; q++ {
		i0, p0 := q%r.rowTasks*r.high, q/r.rowTasks*r.wide
		i1, p1 := min(i0+r.high, m), min(p0+r.wide, panels)
		for s, n := p0, 0; s < p1; s += n {
			kind, zeros := w.zeros(s, 0)
			f, mr := t.tile[w.wide()][kind], t.mr
			if n = 1; t.pairMR > 0 && s+1 < p1 && i1-i0 > few {
				f, mr, n = t.pair[w.wide()][kind], t.pairMR, 2
			}
			tiles := (i1 - i0 + mr - 1) / mr
			step := (i1 - i0 + tiles - 1) / tiles
			g.tile = tile{
				blocks: blocks, groups: w.Block / 4, lda: kb, lds: m, zeros: zeros, y: unsafe.Pointer(&g.out), ldb: size,
				b: unsafe.Pointer(&w.Data[s*size]), bscales: unsafe.Pointer(&w.Scales[s*blocks*Width]),
			}
			for i := i0; i < i1; i += step {
				g.rows = min(step, i1-i)
				g.a = unsafe.Pointer(&r.a.data.S[i*kb])
				g.sums, g.scales = unsafe.Pointer(&r.a.sums.S[i]), unsafe.Pointer(&r.a.scales.S[i])
				f(&g.tile)
				for j := range g.rows {
					w.put(r.y, i+j, s, g.out[j*n*Width:(j+1)*n*Width], r.bias)
				}
			}
		}
	}
	g.tile = tile{}
	intTiles.Put(g)
}
