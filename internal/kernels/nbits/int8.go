package nbits

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
)

// activations are rows of floats as bytes: each block of a row has the scale
// max|x|/127, and x is the nearest integer to x/scale.
type activations struct {
	data   []int8    // [m][blocks*block]
	scales []float32 // [blocks][m]
	sums   []int32   // of the integers, likewise
}

func quantize(p par.P, x []float32, m int, w *Weights) *activations {
	blocks := w.blocks()
	kb := blocks * w.Block
	a := &activations{make([]int8, m*kb), make([]float32, m*blocks), make([]int32, m*blocks)}
	whole := w.K / w.Block
	t := best()
	p.For(m, max(1, (1<<15)/kb), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			row, dst := x[i*w.K:(i+1)*w.K], a.data[i*kb:(i+1)*kb]
			if whole > 0 {
				t.quantize(whole, w.Block, unsafe.Pointer(&row[0]), unsafe.Pointer(&dst[0]), unsafe.Pointer(&a.scales[i]), unsafe.Pointer(&a.sums[i]), 4*m)
			}
			if whole < blocks {
				rest := row[whole*w.Block:]
				a.scales[whole*m+i], a.sums[whole*m+i] = quantizeBlock(dst[whole*w.Block:][:len(rest)], rest)
			}
		}
	})
	if w.Zeros == nil {
		zero := int32(w.Zero)
		if w.Wide {
			zero -= t.less
		}
		for i := range a.sums {
			a.sums[i] *= -zero
		}
	}
	return a
}

// MulInt8 is Mul with the m rows of x turned into bytes, block by block: exact
// integers within a block, of which both have the same, float32 across blocks.
// Zero points are not Reals.
func MulInt8(p par.P, x []float32, m int, w *Weights, bias, y []float32) {
	if m <= 0 {
		return
	}
	t, a := best(), quantize(p, x, m, w)
	blocks, size := w.blocks(), panelSize(w.K, w.Block, w.Wide)
	kb := blocks * w.Block
	panels := (w.N + Width - 1) / Width
	task := 1 << 19 // products
	if m <= few {   // some 3 µs, so that the threads finish together
		task = 1 << 17
	}
	high := min(m, 8*12)
	wide := max(1, min(panels, task/(high*Width*kb)))
	rowTasks, colTasks := (m+high-1)/high, (panels+wide-1)/wide
	p.For(rowTasks*colTasks, 1, func(lo, hi int) {
		var out [12 * Width]float32
		for q := lo; q < hi; q++ {
			i0, p0 := q%rowTasks*high, q/rowTasks*wide
			i1, p1 := min(i0+high, m), min(p0+wide, panels)
			for s, n := p0, 0; s < p1; s += n {
				kind, zeros := w.zeros(s, 0)
				f, mr := t.tile[w.wide()][kind], t.mr
				if n = 1; t.pairMR > 0 && s+1 < p1 && i1-i0 > few {
					f, mr, n = t.pair[w.wide()][kind], t.pairMR, 2
				}
				tiles := (i1 - i0 + mr - 1) / mr
				step := (i1 - i0 + tiles - 1) / tiles
				g := tile{
					blocks: blocks, groups: w.Block / 4, lda: kb, lds: m, zeros: zeros, y: unsafe.Pointer(&out), ldb: size,
					b: unsafe.Pointer(&w.Data[s*size]), bscales: unsafe.Pointer(&w.Scales[s*blocks*Width]),
				}
				for i := i0; i < i1; i += step {
					g.rows = min(step, i1-i)
					g.a = unsafe.Pointer(&a.data[i*kb])
					g.sums, g.scales = unsafe.Pointer(&a.sums[i]), unsafe.Pointer(&a.scales[i])
					f(&g)
					for r := range g.rows {
						w.put(y, i+r, s, out[r*n*Width:(r+1)*n*Width], bias)
					}
				}
			}
		}
	})
}
