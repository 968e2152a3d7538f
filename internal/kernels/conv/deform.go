package conv

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Deform computes a convolution whose taps are moved by offsets, and weighted
// by mask if it is not nil. Between elements it interpolates linearly along
// every dimension; outside of the image everything is 0.
//
//	offset [N, groups·taps·d, Out…], for each group and tap a shift per dimension
//	mask   [N, groups·taps, Out…]
//
// The channels of X are dealt evenly to the groups of offsets.
func Deform[T Float](p par.P, a *Args[T], offset, mask []T, groups int) {
	in, out, taps, d := product(a.In), product(a.Out), product(a.Kernel), len(a.In)
	if a.N == 0 || a.M == 0 || out == 0 {
		return
	}
	cg, mg := a.C/a.Group, a.M/a.Group
	if cg*a.Group != a.C || mg*a.Group != a.M || a.C%groups != 0 || len(a.X) != a.N*a.C*in || len(a.W) != a.M*cg*taps || len(a.Y) != a.N*a.M*out ||
		len(offset) != a.N*groups*taps*d*out || mask != nil && len(mask) != a.N*groups*taps*out {
		panic("conv: sizes do not fit")
	}
	r := &runner[T]{Args: a, cg: cg, mg: mg, taps: taps, in: in, out: out, k: cg * taps}
	panels := (out + gemm.Panel - 1) / gemm.Panel
	p.For(a.N*panels, 1, func(lo, hi int) {
		gemm.Scratch(a.C*taps*gemm.Panel, func(buf []T) {
			s := newSampler(d)
			pos, tap := make([]int, d), make([]int, d)
			for t := lo; t < hi; t++ {
				n, q0 := t/panels, t%panels*gemm.Panel
				q1 := min(q0+gemm.Panel, out)
				clear(buf)
				for g := range groups {
					clear(tap)
					for k := range taps {
						for q := q0; q < q1; q++ {
							seek(pos, a.Out, q)
							deformed(s.at, &a.Window, pos, tap, offset[((n*groups+g)*taps+k)*d*out+q:], out)
							s.corners(a.In)
							weight := 1.0
							if mask != nil {
								weight = float64(mask[((n*groups+g)*taps+k)*out+q])
							}
							for c := g * (a.C / groups); c < (g+1)*(a.C/groups); c++ {
								x := a.X[(n*a.C+c)*in:][:in]
								buf[(c*taps+k)*gemm.Panel+q-q0] = T(interpolate(s, x, weight))
							}
						}
						advance(tap, a.Kernel)
					}
				}
				for g := range a.Group {
					m := r.product(n*a.Group+g, q0, q1, buf[g*cg*taps*gemm.Panel:])
					gemm.Run(par.P{Ctx: p.Ctx}, &m)
				}
			}
		})
	})
}

// deformed sets at to where a tap of the output at pos looks, moved by offsets, step apart.
func deformed[T Float](at []float64, w *Window, pos, tap []int, offset []T, step int) {
	for i := range pos {
		at[i] = float64(pos[i]*w.Strides[i]-w.Before[i]+tap[i]*w.Dilations[i]) + float64(offset[i*step])
	}
}

// sampler lists the elements around a point and their weights.
type sampler struct {
	at     []float64
	index  []int
	weight []float64
}

func newSampler(d int) *sampler {
	return &sampler{at: make([]float64, d), index: make([]int, 0, 1<<d), weight: make([]float64, 0, 1<<d)}
}

// corners lists the corners of the cell around at that lie in the image.
func (s *sampler) corners(in []int) { s.slopes(in, -1) }

// slopes is corners with the derivatives of the weights by the coordinate of a
// dimension (-1: the weights).
func (s *sampler) slopes(in []int, along int) {
	s.index, s.weight = s.index[:0], s.weight[:0]
	for i, x := range s.at {
		if !(x > -1 && x < float64(in[i])) { // NaN too
			return
		}
	}
	for c := range 1 << len(in) {
		at, w := 0, 1.0
		for i, x := range s.at {
			low := math.Floor(x)
			e, f := int(low), x-low
			if c>>i&1 == 1 {
				e++
			} else {
				f = 1 - f
			}
			if i == along {
				f = float64(2*(c>>i&1) - 1)
			}
			if e < 0 || e >= in[i] {
				w = 0
				break
			}
			at, w = at*in[i]+e, w*f
		}
		if w != 0 {
			s.index, s.weight = append(s.index, at), append(s.weight, w)
		}
	}
}
