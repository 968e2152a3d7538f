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
	parts := (mg + some - 1) / some
	one := func(p par.P, image int) {
		n, g := image/a.Group, image%a.Group
		var x *gemm.Packed[T]
		if out > 0 && cg > 0 {
			x = gemm.Pack(p, a.X[(n*a.C+g*cg)*out:], cg, out, out, 1)
		}
		p.For(parts, 1, func(lo, hi int) {
			gemm.Scratch(some*taps*out, func(cols []T) {
				for part := lo; part < hi; part++ {
					m0, m1 := part*some, min((part+1)*some, mg)
					if x != nil {
						gemm.Run(par.P{Ctx: p.Ctx}, &gemm.Args[T]{M: (m1 - m0) * taps, N: out, K: cg,
							A: a.W[g*cg*mg*taps+m0*taps:], ARS: 1, ACS: mg * taps, Packed: x, C: cols, LDC: out, Table: a.Gemm})
					}
					for m := m0; m < m1; m++ {
						y := a.Y[(n*a.M+g*mg+m)*in:][:in]
						var bias T
						if a.B != nil {
							bias = a.B[g*mg+m]
						}
						for i := range y {
							y[i] = bias
						}
						if x != nil {
							Scatter(&a.Window, cols[(m-m0)*taps*out:(m-m0+1)*taps*out], y)
						}
						if a.Act != nil {
							a.Act(y)
						}
					}
				}
			})
		})
	}
	if images := a.N * a.Group; images >= 8 {
		p.For(images, max(1, (1<<16)/max(1, cg*mg*taps*out)), func(lo, hi int) {
			for i := lo; i < hi; i++ {
				one(par.P{Ctx: p.Ctx}, i)
			}
		})
	} else {
		for i := range images {
			one(p, i)
		}
	}
}
