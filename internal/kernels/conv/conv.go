// Package conv computes convolutions, their transposes and pooling over any
// number of spatial dimensions. Tensors are [n, c, spatial…], row-major. Results
// do not depend on the number of threads.
package conv

import (
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Float is an element type of convolutions.
type Float interface{ float32 | float64 }

// Window says which elements of the input a position of the output sees: along
// dimension i, position o sees o*Strides[i] - Before[i] + k*Dilations[i] for
// each k below Kernel[i], as far as it lies in [0, In[i]).
type Window struct {
	In, Kernel, Out    []int
	Strides, Dilations []int
	Before             []int // padding; may be negative
}

func product(s []int) int {
	n := 1
	for _, x := range s {
		n *= x
	}
	return n
}

// Args is one convolution. B may be nil.
//
//	X [N, C, In…]   W [M, C/Group, Kernel…]   B [M]   Y [N, M, Out…]
type Args[T Float] struct {
	N, C, M, Group int
	Window
	X, W, B, Y []T
	// Sum: Y holds a summand already.
	Sum bool
	// Act is called for every piece of the result when it is complete.
	Act   func([]T)
	Table *Table      // nil: Best
	Gemm  *gemm.Table // nil: its Best
}

// Table is one implementation of the routines of this package.
type Table struct {
	Name string
	// Taps32 computes y[i] = bias + Σt w[t]·x[off[t]/4+i] for i below n; off is
	// in bytes and not negative.
	Taps32 func(y unsafe.Pointer, n int, x, off, w unsafe.Pointer, taps int, bias float32)
	// Pack32 fills rows of 32 columns, dstStep apart: row r has, for each span,
	// src[r*srcStep+span.src+i*stride] in column span.dst+i, and zeros elsewhere.
	// Nil: a loop does it.
	Pack32 func(dst []float32, dstStep int, src []float32, srcStep, rows int, spans []span, stride int)
}

// Tables lists what this machine can run, slowest first.
var Tables = append([]*Table{{Name: cpu.Generic, Taps32: tapsGo[float32]}}, archTables()...)

// Best returns the fastest table that may be used.
func Best() *Table {
	for i := len(Tables) - 1; i > 0; i-- {
		if cpu.Has(Tables[i].Name) {
			return Tables[i]
		}
	}
	return Tables[0]
}

func tapsGo[T Float](y unsafe.Pointer, n int, x, off, w unsafe.Pointer, taps int, bias T) {
	out, ws, os := unsafe.Slice((*T)(y), n), unsafe.Slice((*T)(w), taps), unsafe.Slice((*int)(off), taps)
	for i := range out {
		out[i] = bias
	}
	for t, v := range ws {
		src := unsafe.Slice((*T)(unsafe.Add(x, os[t])), n)
		for i, s := range src {
			out[i] += v * s
		}
	}
}

// Run computes a. It panics if slices and sizes do not fit.
func Run[T Float](p par.P, a *Args[T]) {
	out := product(a.Out)
	if a.N == 0 || a.M == 0 || out == 0 {
		return
	}
	cg, mg := a.C/a.Group, a.M/a.Group
	if cg*a.Group != a.C || mg*a.Group != a.M || len(a.X) != a.N*a.C*product(a.In) || len(a.W) != a.M*cg*product(a.Kernel) ||
		len(a.Y) != a.N*a.M*out || a.B != nil && len(a.B) != a.M {
		panic("conv: sizes do not fit")
	}
	if a.Table == nil {
		a.Table = Best()
	}
	if cg == 1 && len(a.In) <= 2 && !a.Sum && a.padded() <= float64(16*product(a.In)+1<<16) {
		depthwise(p, a)
		return
	}
	a.Window = a.Window.flat()
	r := &runner[T]{Args: a, cg: cg, mg: mg, taps: product(a.Kernel), in: product(a.In), out: out}
	r.k = cg * r.taps
	r.run(p)
}

// padded returns the elements of an image with what its windows see around it;
// rounding counts dilations so large that their product overflows as large.
func (w *Window) padded() float64 {
	n := 1.0
	for i := range w.In {
		n *= float64(w.Out[i])*float64(w.Strides[i]) + float64(w.Kernel[i])*float64(w.Dilations[i])
	}
	return n
}

// flat joins the dimensions of a window that sees each element alone, so that
// rows need not end at the end of a row of the image.
func (w Window) flat() Window {
	ones := func(s []int) bool { return !slices.ContainsFunc(s, func(x int) bool { return x != 1 }) }
	if !ones(w.Kernel) || !ones(w.Strides) || !slices.Equal(w.In, w.Out) || slices.ContainsFunc(w.Before, func(x int) bool { return x != 0 }) {
		return w
	}
	n, one := []int{product(w.In)}, []int{1}
	return Window{In: n, Kernel: one, Out: n, Strides: one, Dilations: one, Before: []int{0}}
}

// runner convolves by products of matrices: W [m, k] times what the kernel
// sees, laid out in packed panels of 32 positions of the output.
type runner[T Float] struct {
	*Args[T]
	cg, mg, taps, k, in, out int
}

func (r *runner[T]) run(p par.P) {
	panels := (r.out + gemm.Panel - 1) / gemm.Panel
	images := r.N * r.Group
	// A task has a few panels, which stay in the second-level cache, and there
	// should be enough tasks for all threads.
	const cache, tasks = 1 << 20, 32
	per := min(max(cache/(r.k*gemm.Panel*int(unsafe.Sizeof(*new(T)))), 1), 16, panels)
	for per > 1 && images*((panels+per-1)/per) < tasks {
		per = (per + 1) / 2
	}
	parts := (panels + per - 1) / per
	if images*parts < 8 && r.mg*r.k*r.out > 1<<18 {
		r.wide(p, panels)
		return
	}
	grain := max(1, (1<<17)/max(1, r.mg*r.k*gemm.Panel*per))
	p.For(images*parts, grain, func(lo, hi int) {
		gemm.Scratch(r.k*gemm.Panel*per, func(buf []T) {
			for t := lo; t < hi; t++ {
				image, j0 := t/parts, t%parts*per
				j1 := min(j0+per, panels)
				for j := j0; j < j1; j++ {
					r.pack(buf[(j-j0)*r.k*gemm.Panel:], image, j, 0, r.cg)
				}
				g := r.product(image, j0*gemm.Panel, min(j1*gemm.Panel, r.out), buf)
				gemm.Run(par.P{Ctx: p.Ctx}, &g)
			}
		})
	})
}

// wide is run where the output has too few positions for all threads: they
// share each panel and each product.
func (r *runner[T]) wide(p par.P, panels int) {
	const parts = 4
	gemm.Scratch(r.k*gemm.Panel*panels, func(buf []T) {
		for image := range r.N * r.Group {
			p.For(panels*parts, 1, func(lo, hi int) {
				for t := lo; t < hi; t++ {
					j, c := t/parts, t%parts
					r.pack(buf[j*r.k*gemm.Panel:], image, j, c*r.cg/parts, (c+1)*r.cg/parts)
				}
			})
			g := r.product(image, 0, r.out, buf)
			gemm.Run(p, &g)
		}
	})
}

// product is W times the positions [q0, q1) of one image and group.
func (r *runner[T]) product(image, q0, q1 int, panels []T) gemm.Args[T] {
	n, gr := image/r.Group, image%r.Group
	g := gemm.Args[T]{M: r.mg, N: q1 - q0, K: r.k, A: r.W[gr*r.mg*r.k:], ARS: r.k, ACS: 1,
		Packed: &gemm.Packed[T]{K: r.k, N: q1 - q0, Data: panels},
		C:      r.Y[(n*r.M+gr*r.mg)*r.out+q0:], LDC: r.out, Table: r.Gemm}
	g.Acc, g.Act = r.Sum, r.Act
	if r.B != nil {
		g.Row = r.B[gr*r.mg : (gr+1)*r.mg]
	}
	return g
}

// span is a run of positions along the last dimension that a tap sees inside
// of the image.
type span struct{ dst, src, n int }

// pack fills panel j of an image and group: row c*taps+t is what tap t sees of
// channel c. It does the channels [c0, c1).
func (r *runner[T]) pack(dst []T, image, j, c0, c1 int) {
	n, gr := image/r.Group, image%r.Group
	x := r.X[(n*r.C+gr*r.cg)*r.in:]
	d := len(r.In)
	last := d - 1
	ow, iw, stride := r.Out[last], r.In[last], r.Strides[last]
	q0 := j * gemm.Panel
	q1 := min(q0+gemm.Panel, r.out)
	pos, tap := make([]int, d), make([]int, d)
	spans := make([]span, 0, gemm.Panel)
	for t := range r.taps {
		spans = spans[:0]
		covered := 0
		seek(pos, r.Out, q0)
		first := pos[last] // in this row
		for q := q0; q < q1; {
			w := min(ow-first, q1-q)
			row, ok := r.row(pos, tap)
			if ok {
				at := tap[last]*r.Dilations[last] - r.Before[last]
				// x = (first+i)*stride + at must be in [0, iw).
				lo, hi := 0, w
				if s := first*stride + at; s < 0 {
					lo = (-s + stride - 1) / stride
				}
				if m := iw - 1 - at; m < 0 {
					hi = 0
				} else {
					hi = min(hi, m/stride+1-first)
				}
				if lo < hi {
					spans = append(spans, span{q - q0 + lo, row*iw + (first+lo)*stride + at, hi - lo})
					covered += hi - lo
				}
			}
			q += w
			first = 0
			for i := last - 1; i >= 0; i-- {
				if pos[i]++; pos[i] < r.Out[i] {
					break
				}
				pos[i] = 0
			}
		}
		if f, ok := any(dst).([]float32); ok && r.Table.Pack32 != nil && stride < 1<<20 && c0 < c1 {
			r.Table.Pack32(f[(c0*r.taps+t)*gemm.Panel:], r.taps*gemm.Panel, any(x[c0*r.in:]).([]float32), r.in, c1-c0, spans, stride)
			advance(tap, r.Kernel)
			continue
		}
		for c := c0; c < c1; c++ {
			row, src := dst[(c*r.taps+t)*gemm.Panel:][:gemm.Panel], x[c*r.in:(c+1)*r.in]
			if covered < gemm.Panel {
				clear(row)
			}
			for _, s := range spans {
				if stride == 1 {
					copy(row[s.dst:s.dst+s.n], src[s.src:])
					continue
				}
				at := s.src
				for i := range row[s.dst : s.dst+s.n] {
					row[s.dst+i] = src[at]
					at += stride
				}
			}
		}
		advance(tap, r.Kernel)
	}
}

// row returns the index of the row of the image that a tap sees from pos.
func (w *Window) row(pos, tap []int) (int, bool) {
	row := 0
	for i := range len(pos) - 1 {
		y := pos[i]*w.Strides[i] - w.Before[i] + tap[i]*w.Dilations[i]
		if y < 0 || y >= w.In[i] {
			return 0, false
		}
		row = row*w.In[i] + y
	}
	return row, true
}

// seek sets idx to the q-th index of shape.
func seek(idx, shape []int, q int) {
	for i := len(shape) - 1; i >= 0; i-- {
		idx[i] = q % shape[i]
		q /= shape[i]
	}
}

// advance moves idx to the next index of shape.
func advance(idx, shape []int) {
	for i := len(shape) - 1; i >= 0; i-- {
		if idx[i]++; idx[i] < shape[i] {
			return
		}
		idx[i] = 0
	}
}
