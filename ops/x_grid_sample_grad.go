package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// x.GridSampleGrad: the gradients of GridSample. With w the product over the
// spatial dimensions of the taps' weights, each element of dY gives dX w·dY at
// its taps, and dGrid ∂w/∂grid·X·dY. Where a coordinate is clamped to the border
// grid has no gradient, where it is reflected the sign turns, and mode nearest
// gives it none. The attributes are those of GridSample.
// This operator is private: the gradient of GridSample writes it.
//
//	dY: T[n, c, o1, …]    X: T[n, c, d1, …]    grid: T[n, o1, …, spatial rank]
//	dX: X's type and shape    dGrid: grid's type and shape (each optional)
//
// Sums are in the order of places, whatever the number of threads.
//
// Spec: https://onnx.ai/onnx/operators/onnx__GridSample.html
func gridSampleGradOp() *Op {
	return &Op{
		Domain: Private, Name: "GridSampleGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(3), Out: Arity{1, 2}, Infer: inferGridSampleGrad, Build: buildGridSampleGrad}},
	}
}

func inferGridSampleGrad(c *InferContext) error {
	parseGridSample(&c.attrs, 20)
	for i := range c.Out {
		c.Out[i] = c.In(1 + i)
	}
	return nil
}

func buildGridSampleGrad(b *BuildContext) (Kernel, error) {
	v := parseGridSample(&b.attrs, 20) // the names of the newest version
	wants := [2]bool{b.Wants(0), b.Wants(1)}
	return b.realKernels(0, gridSampleGrad[float32](v, wants), gridSampleGrad[float64](v, wants))
}

// gridBack is one execution.
type gridBack[T floating] struct {
	gridShape
	v                   *gridSampler
	dy, x, grid, dx, dg []T
}

func gridSampleGrad[T floating](v *gridSampler, wants [2]bool) Kernel {
	return func(c *Call) error {
		xt, gt := c.T(1), c.T(2)
		if xt == nil || gt == nil {
			return fmt.Errorf("X is %v and grid %v, want both", xt, gt)
		}
		b := gridBack[T]{v: v}
		var err error
		if b.gridShape, err = gridShapeOf(c, v, xt.Shape(), gt.Shape()); err != nil {
			return err
		}
		if want := b.out(); !slices.Equal(c.T(0).Shape(), want) {
			return fmt.Errorf("dY has shape %v, want %v", c.T(0).Shape(), want)
		}
		for i, to := range []*[]T{&b.dy, &b.x, &b.grid} {
			if *to, err = reals[T](c, i); err != nil {
				return err
			}
		}
		for i, to := range []*[]T{&b.dx, &b.dg} {
			if wants[i] {
				out, done := realsOut[T](c, i, c.T(1+i).DType(), c.T(1+i).Shape()...)
				defer done()
				clear(out)
				*to = out
			}
		}
		if len(b.dy) == 0 {
			return nil
		}
		if b.dx != nil { // a task has some channels of one image, so the sums have one order
			const some = 8
			groups := (b.channels + some - 1) / some
			c.P.For(b.batch*groups, 1, func(lo, hi int) {
				for u := lo; u < hi; u++ {
					g := u % groups * some
					b.image(u/groups, g, min(g+some, b.channels))
				}
			})
		}
		if b.dg != nil && v.mode != "nearest" {
			c.P.For(b.batch*b.places, max(1, (1<<12)/b.channels), b.coordinates)
		}
		return c.Ctx().Err()
	}
}

// image adds to channels [lo, hi) of image n of dX.
func (b *gridBack[T]) image(n, lo, hi int) {
	s, d := newGridTaps[T](b.v, b.in, b.st), len(b.in)
	for o := range b.places {
		s.place(b.grid[d*(n*b.places+o):][:d])
		for ch := lo; ch < hi; ch++ {
			at := n*b.channels + ch
			dy, dx := b.dy[at*b.places+o], b.dx[at*b.size:][:b.size]
			for j, p := range s.at {
				if p >= 0 {
					dx[p] += s.w[j] * dy
				}
			}
		}
	}
}

// coordinates sets dGrid for places [lo, hi) of all images.
func (b *gridBack[T]) coordinates(lo, hi int) {
	s, d := newGridTaps[T](b.v, b.in, b.st), len(b.in)
	sums := make([]T, len(s.at)) // of X·dY over the channels, for each tap
	for u := lo; u < hi; u++ {
		n, o := u/b.places, u%b.places
		g := b.grid[d*u:][:d]
		s.place(g)
		clear(sums)
		for ch := range b.channels {
			at := n*b.channels + ch
			dy, x := b.dy[at*b.places+o], b.x[at*b.size:][:b.size]
			for j, p := range s.at {
				if p >= 0 {
					sums[j] += x[p] * dy
				}
			}
		}
		for i := range d {
			slope := s.slopes(i, g[d-1-i])
			sum := T(0)
			k := len(slope)
			for t, v := range sums {
				w := v
				for e, left := d-1, t; e >= 0; e-- {
					if e == i {
						w *= slope[left%k]
					} else {
						w *= s.wt[e][left%k]
					}
					left /= k
				}
				sum += w
			}
			b.dg[d*u+d-1-i] = sum
		}
	}
}

// slopes returns the derivatives of the weights of dimension i by its coordinate
// u, which place has been called with.
func (s *gridTaps[T]) slopes(i int, u T) []T {
	n := s.in[i]
	x, scale := s.pixel(float64(u), n)
	out := make([]T, len(s.wt[i]))
	if s.v.mode == "cubic" {
		if math.Abs(x) < 1<<31 {
			f := x - math.Floor(x)
			for j := range out {
				out[j] = T(scale * cubicSlope(f+1-float64(j), gridCubic))
			}
		}
		return out
	}
	switch y := s.border(x, n); {
	case s.v.padding == "border" && (x <= 0 || x >= float64(n-1)), !(math.Abs(y) < 1<<31):
		return out
	case s.v.padding == "reflection":
		scale *= s.side(x, n)
	}
	out[0], out[1] = T(-scale), T(scale)
	return out
}

// side is the derivative of border with reflection: 1 or -1.
func (s *gridTaps[T]) side(x float64, n int) float64 {
	lo, hi := s.mirrors(n)
	span := hi - lo
	switch {
	case span <= 0:
		return 0
	case x < lo:
		x = 2*lo - x
		if math.Mod(x-lo, 2*span) > span {
			return 1
		}
		return -1
	case math.Mod(x-lo, 2*span) > span:
		return -1
	}
	return 1
}

// cubicSlope is the derivative of the weight of cubic convolution at distance d.
func cubicSlope(d, a float64) float64 {
	t, sign := math.Abs(d), 1.0
	if d < 0 {
		sign = -1
	}
	switch {
	case t < 1:
		return sign * (3*(a+2)*t - 2*(a+3)) * t
	case t < 2:
		return sign * ((3*a*t-10*a)*t + 8*a)
	}
	return 0
}

// gridShape are the sizes of GridSample.
type gridShape struct {
	batch, channels, size, places int // size: elements of a channel of X
	in, st, to                    []int
}

// gridShapeOf checks the shapes of X and grid. What it returns is valid until the call ends.
func gridShapeOf(c *Call, v *gridSampler, xs, gs []int) (gridShape, error) {
	d := len(xs) - 2
	if d < 1 || len(gs) != len(xs) || gs[0] != xs[0] || gs[len(gs)-1] != d {
		return gridShape{}, fmt.Errorf("X has shape %v and grid %v, want [n c d…] and [n o… %d]", xs, gs, max(d, 1))
	}
	if v.mode == "cubic" && d != 2 {
		return gridShape{}, fmt.Errorf("%w: mode cubic for %d spatial dimensions", ErrUnsupported, d)
	}
	s := gridShape{batch: xs[0], channels: xs[1], size: sizeOf(xs[2:]), places: sizeOf(gs[1 : len(gs)-1]), in: xs[2:], st: c.strides(xs[2:]), to: gs[1 : len(gs)-1]}
	if s.size > math.MaxInt32 {
		return gridShape{}, fmt.Errorf("%w: images of %d elements", ErrUnsupported, s.size)
	}
	if s.size == 0 && s.batch*s.channels*s.places > 0 {
		return gridShape{}, fmt.Errorf("X has shape %v, which has nothing to sample", xs)
	}
	return s, nil
}

// out is the shape of Y.
func (s *gridShape) out() []int { return slices.Concat([]int{s.batch, s.channels}, s.to) }

// gradGridSample: by x.GridSampleGrad.
func gradGridSample(c *GradContext) []*onnx.Value {
	n := c.G.NewNodeIn(Private, "GridSampleGrad", slices.Clone(c.Node().Attrs), []*onnx.Value{c.DOut[0], c.X(0), c.X(1)}, 2)
	for i := range n.Out {
		if !c.Needs(i) {
			n.Out[i] = nil
		}
	}
	return c.Add(n)
}
