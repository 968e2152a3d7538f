package conv

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Summand is an element type that Scatter adds.
type Summand interface {
	gemm.Number | complex64 | complex128
}

// Scatter adds cols [taps, positions] to an image: what Window would read for
// tap t at position o is where cols[t][o] goes.
func Scatter[T Summand](w *Window, cols, image []T) {
	d := len(w.In)
	last := d - 1
	ow, iw, stride := w.Out[last], w.In[last], w.Strides[last]
	rows := product(w.Out[:last])
	pos, tap := make([]int, d), make([]int, d)
	var add func(dst, a, b []float32)
	from, single := any(cols).([]float32)
	to, _ := any(image).([]float32)
	if single && stride == 1 && ow >= 16 {
		add = vec.Best().Add
	}
	for t := range product(w.Kernel) {
		at := tap[last]*w.Dilations[last] - w.Before[last]
		// at+i*stride must be in [0, iw).
		lo, hi := 0, 0
		if at < 0 {
			lo = (-at + stride - 1) / stride
		}
		if m := iw - 1 - at; m >= 0 {
			hi = min(ow, m/stride+1)
		}
		clear(pos)
		for r := 0; r < rows && lo < hi; r++ {
			if row, ok := w.row(pos, tap); ok && add != nil {
				dst := to[row*iw+at+lo:][:hi-lo]
				add(dst, dst, from[(t*rows+r)*ow+lo:][:hi-lo])
			} else if ok {
				src := cols[(t*rows+r)*ow+lo : (t*rows+r)*ow+hi]
				dst := image[row*iw+at+lo*stride : row*iw+at+(hi-1)*stride+1]
				if stride == 1 {
					dst = dst[:len(src)]
					for i, v := range src {
						dst[i] += v
					}
				} else {
					x := 0
					for _, v := range src {
						dst[x] += v
						x += stride
					}
				}
			}
			advance(pos[:last], w.Out[:last])
		}
		advance(tap, w.Kernel)
	}
}

// Transposed computes the transpose of a convolution: Window.In is the spatial
// shape of the result Y and Window.Out that of X.
//
//	X [N, C, Out…]   W [C, M/Group, Kernel…]   B [M] or nil   Y [N, M, In…]
func Transposed[T Float](p par.P, a *Args[T]) {
	in, out, taps := product(a.In), product(a.Out), product(a.Kernel)
	if a.N == 0 || a.M == 0 || in == 0 {
		return
	}
	cg, mg := a.C/a.Group, a.M/a.Group
	if cg*a.Group != a.C || mg*a.Group != a.M || len(a.X) != a.N*a.C*out || len(a.W) != a.C*mg*taps ||
		len(a.Y) != a.N*a.M*in || a.B != nil && len(a.B) != a.M {
		panic("conv: sizes do not fit")
	}
	// Some channels of the result at a time, so that the columns stay in the cache.
	some := min(mg, max(1, (1<<20)/max(1, taps*out*int(unsafe.Sizeof(*new(T))))))
	t := transposer[T]{*a, par.P{Ctx: p.Ctx}, cg, mg, taps, in, out, some}
	if images := a.N * a.Group; images >= 8 {
		par.Run(p, images, max(1, (1<<16)/max(1, cg*mg*taps*out)), par.With(t))
	} else {
		for i := range images {
			t.image(p, i)
		}
	}
}

// transposer is Transposed of images and groups, some channels of the result at a time.
type transposer[T Float] struct {
	Args[T]
	ctx                         par.P // of what runs inside of a loop
	cg, mg, taps, in, out, some int
}

// Chunk computes images [lo, hi).
func (t *transposer[T]) Chunk(lo, hi int) {
	for i := lo; i < hi; i++ {
		t.image(t.ctx, i)
	}
}

func (t *transposer[T]) image(p par.P, i int) {
	n, g := i/t.Group, i%t.Group
	parts := transposedParts[T]{transposer: *t, n: n, g: g}
	if t.out > 0 && t.cg > 0 {
		buf := gemm.Borrow[T](gemm.PackedLen(t.cg, t.out))
		defer buf.Return()
		parts.x = buf.S
		par.Run(p, gemm.Panels(t.out), max(1, (1<<16)/(t.cg*gemm.Panel)), par.With(packRows[T]{buf.S, t.X[(n*t.C+g*t.cg)*t.out:], t.cg, t.out}))
	}
	par.Run(p, (t.mg+t.some-1)/t.some, 1, par.With(parts))
}

// packRows packs rows of n elements into panels.
type packRows[T Float] struct {
	to, from []T
	rows, n  int
}

func (a *packRows[T]) Chunk(lo, hi int) {
	for j := lo; j < hi; j++ {
		q, w := j*gemm.Panel, min(gemm.Panel, a.n-j*gemm.Panel)
		for i := range a.rows {
			to := a.to[(j*a.rows+i)*gemm.Panel:][:gemm.Panel]
			copy(to, a.from[i*a.n+q:][:w])
			clear(to[w:])
		}
	}
}

// transposedParts are the parts of group g of image n; x is the group's panels, nil if it has none.
type transposedParts[T Float] struct {
	transposer[T]
	n, g int
	x    []T
}

func (t *transposedParts[T]) Chunk(lo, hi int) {
	cols := gemm.Borrow[T](t.some * t.taps * t.out)
	defer cols.Return()
	w := borrow[T]()
	defer w.giveBack()
	w.packed = gemm.Packed[T]{K: t.cg, N: t.out, Data: t.x}
	size := t.taps * t.out
	for part := lo; part < hi; part++ {
		m0, m1 := part*t.some, min((part+1)*t.some, t.mg)
		if t.x != nil {
			w.args = gemm.Args[T]{M: (m1 - m0) * t.taps, N: t.out, K: t.cg, A: t.W[t.g*t.cg*t.mg*t.taps+m0*t.taps:], ARS: 1, ACS: t.mg * t.taps,
				Packed: &w.packed, C: cols.S, LDC: t.out, Table: t.Gemm}
			gemm.Run(t.ctx, &w.args)
		}
		for m := m0; m < m1; m++ {
			y := t.Y[(t.n*t.M+t.g*t.mg+m)*t.in:][:t.in]
			var bias T
			if t.B != nil {
				bias = t.B[t.g*t.mg+m]
			}
			for i := range y {
				y[i] = bias
			}
			if t.x != nil {
				Scatter(&t.Window, cols.S[(m-m0)*size:(m-m0+1)*size], y)
			}
			if t.Act != nil {
				t.Act(y)
			}
		}
	}
}
