package conv

import (
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// DeformGrads are the gradients of the arguments of Deform, of their sizes; those that are
// nil are not computed.
type DeformGrads[T Float] struct{ X, W, Offset, Mask []T }

// DeformGrad computes the gradients of Deform's arguments, where a.Y is that of its
// result. Where a sample lies on an element, between two lines of the interpolation, the slope
// is that of the cell after it.
func DeformGrad[T Float](p par.P, a *Args[T], offset, mask []T, groups int, to DeformGrads[T]) {
	b := &deformBack[T]{Args: a, offset: offset, mask: mask, groups: groups, to: to,
		in: product(a.In), out: product(a.Out), taps: product(a.Kernel), cg: a.C / a.Group, mg: a.M / a.Group, p: par.P{Ctx: p.Ctx}}
	for _, v := range [][]T{to.X, to.W, to.Offset, to.Mask} {
		clear(v)
	}
	if a.N == 0 || b.out == 0 || b.taps == 0 {
		return
	}
	if to.X != nil && a.M > 0 {
		p.For(a.N*a.C, 1, b.inputs)
	}
	if to.W != nil {
		p.For(a.C, 1, b.weights)
	}
	if (to.Offset != nil || to.Mask != nil) && a.M > 0 {
		p.For(a.N*groups*b.panels(), 1, b.moves)
	}
}

type deformBack[T Float] struct {
	*Args[T]
	offset, mask          []T
	groups                int
	to                    DeformGrads[T]
	in, out, taps, cg, mg int
	p                     par.P
}

// deformPanel is how many outputs one task of offsets has.
const deformPanel = 256

func (b *deformBack[T]) panels() int { return (b.out + deformPanel - 1) / deformPanel }

// columns sets dst [taps, q1-q0] to the gradients of the samples of channel c: Wᵀ·dY.
func (b *deformBack[T]) columns(dst []T, n, c, q0, q1 int) {
	gr := c / b.cg
	gemm.Run(b.p, &gemm.Args[T]{M: b.taps, N: q1 - q0, K: b.mg, A: b.W[(gr*b.mg*b.cg+c%b.cg)*b.taps:], ARS: 1, ACS: b.cg * b.taps,
		B: b.Y[(n*b.M+gr*b.mg)*b.out+q0:], BRS: b.out, BCS: 1, C: dst, LDC: q1 - q0})
}

// samples calls f for each tap k and output in [q0, q1) of image n, with s.at where the
// offsets of group g move it to, and its mask.
func (b *deformBack[T]) samples(s *sampler, n, g, q0, q1 int, f func(k, q int, mask float64)) {
	d := len(b.In)
	pos, tap := make([]int, d), make([]int, d)
	for k := range b.taps {
		at := (n*b.groups+g)*b.taps + k
		for q := q0; q < q1; q++ {
			seek(pos, b.Out, q)
			deformed(s.at, &b.Window, pos, tap, b.offset[at*d*b.out+q:], b.out)
			mask := 1.0
			if b.mask != nil {
				mask = float64(b.mask[at*b.out+q])
			}
			f(k, q, mask)
		}
		advance(tap, b.Kernel)
	}
}

// inputs computes dX of channels [lo, hi) of all images.
func (b *deformBack[T]) inputs(lo, hi int) {
	gemm.Scratch(b.taps*b.out, func(cols []T) {
		s := newSampler(len(b.In))
		for ; lo < hi; lo++ {
			n, c := lo/b.C, lo%b.C
			b.columns(cols, n, c, 0, b.out)
			dx := b.to.X[lo*b.in:][:b.in]
			b.samples(s, n, c/(b.C/b.groups), 0, b.out, func(k, q int, mask float64) {
				s.corners(b.In)
				d := float64(cols[k*b.out+q]) * mask
				for i, at := range s.index {
					dx[at] += T(s.weight[i] * d)
				}
			})
		}
	})
}

// weights computes dW of channels [lo, hi): dY·samplesᵀ, summed over the images in order.
func (b *deformBack[T]) weights(lo, hi int) {
	gemm.Scratch(b.taps*b.out, func(cols []T) {
		s := newSampler(len(b.In))
		for c := lo; c < hi; c++ {
			gr := c / b.cg
			for n := range b.N {
				x := b.X[(n*b.C+c)*b.in:][:b.in]
				b.samples(s, n, c/(b.C/b.groups), 0, b.out, func(k, q int, mask float64) {
					s.corners(b.In)
					cols[k*b.out+q] = T(interpolate(s, x, mask))
				})
				gemm.Run(b.p, &gemm.Args[T]{M: b.mg, N: b.taps, K: b.out, A: b.Y[(n*b.M+gr*b.mg)*b.out:], ARS: b.out, ACS: 1, B: cols, BRS: 1, BCS: b.out,
					C: b.to.W[(gr*b.mg*b.cg+c%b.cg)*b.taps:], LDC: b.cg * b.taps, Epilogue: gemm.Epilogue[T]{Acc: n > 0}})
			}
		}
	})
}

// moves computes the gradients of offsets and masks of panels [lo, hi) of all images and groups.
func (b *deformBack[T]) moves(lo, hi int) {
	d, per := len(b.In), b.C/b.groups
	gemm.Scratch(per*b.taps*deformPanel, func(cols []T) {
		s := newSampler(d)
		for ; lo < hi; lo++ {
			n, g, q0 := lo/b.panels()/b.groups, lo/b.panels()%b.groups, lo%b.panels()*deformPanel
			q1 := min(q0+deformPanel, b.out)
			w := q1 - q0
			for c := range per {
				b.columns(cols[c*b.taps*w:], n, g*per+c, q0, q1)
			}
			images := b.X[(n*b.C+g*per)*b.in:]
			sum := func(k, q int) float64 { // over the channels, with the weights that s has
				v := 0.0
				for c := range per {
					v += interpolate(s, images[c*b.in:], float64(cols[(c*b.taps+k)*w+q-q0]))
				}
				return v
			}
			b.samples(s, n, g, q0, q1, func(k, q int, mask float64) {
				at := (n*b.groups+g)*b.taps + k
				if b.to.Mask != nil {
					s.corners(b.In)
					b.to.Mask[at*b.out+q] = T(sum(k, q))
				}
				if b.to.Offset != nil {
					for i := range d {
						s.slopes(b.In, i)
						b.to.Offset[(at*d+i)*b.out+q] = T(mask * sum(k, q))
					}
				}
			})
		}
	})
}

// interpolate returns f times the sum of x's elements with the weights that s has.
func interpolate[T Float](s *sampler, x []T, f float64) float64 {
	v := 0.0
	for i, at := range s.index {
		v += s.weight[i] * float64(x[at])
	}
	return v * f
}
