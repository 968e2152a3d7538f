// Package conv computes convolutions, their transposes and pooling over any
// number of spatial dimensions. Tensors are [n, c, spatial…], row-major. Results
// do not depend on the number of threads.
package conv

import (
	"slices"
	"sync"
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
	r := runner[T]{Args: *a, ctx: par.P{Ctx: p.Ctx}, cg: cg, mg: mg, taps: product(a.Kernel), in: product(a.In), out: out}
	r.k = cg * r.taps
	w := borrow[T]()
	r.Window = r.flat(&w.flat)
	r.run(p)
	w.giveBack()
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
// rows need not end at the end of a row of the image. The result is in memory.
func (w *Window) flat(memory *[3]int) Window {
	ones := func(s []int) bool { return !slices.ContainsFunc(s, func(x int) bool { return x != 1 }) }
	if !ones(w.Kernel) || !ones(w.Strides) || !slices.Equal(w.In, w.Out) || slices.ContainsFunc(w.Before, func(x int) bool { return x != 0 }) {
		return *w
	}
	*memory = [3]int{product(w.In), 1, 0}
	n, one, none := memory[:1], memory[1:2], memory[2:]
	return Window{In: n, Kernel: one, Out: n, Strides: one, Dilations: one, Before: none}
}

// work is working memory that outlives what uses it: anything that a function
// of a table sees would be allocated with each call.
type work[T Float] struct {
	flat    [3]int
	spans   []span
	offsets []int
	args    gemm.Args[T]
	packed  gemm.Packed[T]
	sampler sampler
}

var works [2]sync.Pool // of float32 and float64

func poolOf[T Float]() *sync.Pool { return &works[unsafe.Sizeof(*new(T))/8] }

func borrow[T Float]() *work[T] {
	if w, ok := poolOf[T]().Get().(*work[T]); ok {
		return w
	}
	return &work[T]{spans: make([]span, 0, gemm.Panel)}
}

// giveBack lets go of what w refers to.
func (w *work[T]) giveBack() {
	w.args, w.packed = gemm.Args[T]{}, gemm.Packed[T]{}
	poolOf[T]().Put(w)
}

// runner convolves by products of matrices: W [m, k] times what the kernel
// sees, laid out in packed panels of 32 positions of the output.
type runner[T Float] struct {
	Args[T]
	ctx                      par.P // of what runs inside of a loop
	cg, mg, taps, k, in, out int
	panels, per, parts       int // parts of per panels each
}

func (r *runner[T]) run(p par.P) {
	r.panels = (r.out + gemm.Panel - 1) / gemm.Panel
	images := r.N * r.Group
	// A task has a few panels, which stay in the second-level cache, and there
	// should be enough tasks for all threads.
	const cache, tasks = 1 << 20, 32
	per := min(max(cache/(r.k*gemm.Panel*int(unsafe.Sizeof(*new(T)))), 1), 16, r.panels)
	for per > 1 && images*((r.panels+per-1)/per) < tasks {
		per = (per + 1) / 2
	}
	r.per, r.parts = per, (r.panels+per-1)/per
	if images*r.parts < 8 && r.mg*r.k*r.out > 1<<18 {
		r.wide(p)
		return
	}
	grain := max(1, (1<<17)/max(1, r.mg*r.k*gemm.Panel*per))
	par.Run(p, images*r.parts, grain, par.With(*r))
}

// Chunk computes parts [lo, hi) of all images and groups.
func (r *runner[T]) Chunk(lo, hi int) {
	buf := gemm.Borrow[T](r.k * gemm.Panel * r.per)
	defer buf.Return()
	w := borrow[T]()
	defer w.giveBack()
	for t := lo; t < hi; t++ {
		image, j0 := t/r.parts, t%r.parts*r.per
		j1 := min(j0+r.per, r.panels)
		for j := j0; j < j1; j++ {
			r.pack(w, buf.S[(j-j0)*r.k*gemm.Panel:], image, j, 0, r.cg)
		}
		gemm.Run(r.ctx, r.product(w, image, j0*gemm.Panel, min(j1*gemm.Panel, r.out), buf.S))
	}
}

// wide is run where the output has too few positions for all threads: they
// share each panel and each product.
func (r *runner[T]) wide(p par.P) {
	buf := gemm.Borrow[T](r.k * gemm.Panel * r.panels)
	defer buf.Return()
	w := borrow[T]()
	defer w.giveBack()
	for image := range r.N * r.Group {
		par.Run(p, r.panels*wideParts, 1, par.With(widePack[T]{*r, buf.S, image}))
		gemm.Run(p, r.product(w, image, 0, r.out, buf.S))
	}
}

// wideParts is how many tasks share a panel.
const wideParts = 4

// widePack fills the panels of an image and group.
type widePack[T Float] struct {
	runner[T]
	buf   []T
	image int
}

func (r *widePack[T]) Chunk(lo, hi int) {
	w := borrow[T]()
	defer w.giveBack()
	for t := lo; t < hi; t++ {
		j, c := t/wideParts, t%wideParts
		r.pack(w, r.buf[j*r.k*gemm.Panel:], r.image, j, c*r.cg/wideParts, (c+1)*r.cg/wideParts)
	}
}

// product is W times the positions [q0, q1) of one image and group, in memory of w.
func (r *runner[T]) product(w *work[T], image, q0, q1 int, panels []T) *gemm.Args[T] {
	n, gr := image/r.Group, image%r.Group
	w.packed = gemm.Packed[T]{K: r.k, N: q1 - q0, Data: panels}
	w.args = gemm.Args[T]{M: r.mg, N: q1 - q0, K: r.k, A: r.W[gr*r.mg*r.k:], ARS: r.k, ACS: 1, Packed: &w.packed,
		C: r.Y[(n*r.M+gr*r.mg)*r.out+q0:], LDC: r.out, Table: r.Gemm}
	w.args.Acc, w.args.Act = r.Sum, r.Act
	if r.B != nil {
		w.args.Row = r.B[gr*r.mg : (gr+1)*r.mg]
	}
	return &w.args
}

// span is a run of positions along the last dimension that a tap sees inside
// of the image.
type span struct{ dst, src, n int }

// pack fills panel j of an image and group: row c*taps+t is what tap t sees of
// channel c. It does the channels [c0, c1).
func (r *runner[T]) pack(m *work[T], dst []T, image, j, c0, c1 int) {
	n, gr := image/r.Group, image%r.Group
	x := r.X[(n*r.C+gr*r.cg)*r.in:]
	d := len(r.In)
	last := d - 1
	ow, iw, stride := r.Out[last], r.In[last], r.Strides[last]
	q0 := j * gemm.Panel
	q1 := min(q0+gemm.Panel, r.out)
	pos, tap := make([]int, d), make([]int, d)
	spans := m.spans[:0]
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
