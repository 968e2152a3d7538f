package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// x.RoiAlignGrad: the gradients of RoiAlign. With Y the mean over the samples of a
// bin of Σ w·X, over the four pixels around each, dX gets w·dY and a region
// ∂w/∂(y, x)·X·dY times how far the sample moves with each of its corners; in mode max only the
// largest w·X of a bin counts. The number of samples is taken as fixed. The attributes
// are those of RoiAlign.
// This operator is private: the gradient of RoiAlign writes it.
//
//	dY: T[k, c, output_height, output_width]    X: T[n, c, h, w]    rois: T[k, 4]    batch_indices: int64[k]
//	dX: X's type and shape    dRois: rois' type and shape (each optional)
//
// T: float16, bfloat16 (both computed in float32), float32, float64. Sums over
// regions are in their order, whatever the number of threads.
//
// Spec: https://onnx.ai/onnx/operators/onnx__RoiAlign.html
func roiAlignGradOp() *Op {
	return &Op{
		Domain: Private, Name: "RoiAlignGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(4), Out: Arity{1, 2}, Infer: func(c *InferContext) error {
			for i := range c.Out {
				c.Out[i] = c.In(1 + i)
			}
			_, err := parseRoiAlign(&c.attrs, 16)
			return err
		}, Build: func(b *BuildContext) (Kernel, error) {
			v, err := parseRoiAlign(&b.attrs, 16)
			if err != nil {
				return nil, err
			}
			wants := [2]bool{b.Wants(0), b.Wants(1)}
			return b.realKernels(0, func(c *Call) error { return roiAlignGrad[float32](c, v, wants) },
				func(c *Call) error { return roiAlignGrad[float64](c, v, wants) })
		}}},
	}
}

// roiBack is one execution.
type roiBack[T floating] struct {
	v                 *roiAligner
	dy, x, rois       []T
	dx, drois         []T // nil if not wanted
	batch             []int
	channels, h, w, n int // n: bins
}

func roiAlignGrad[T floating](c *Call, v *roiAligner, wants [2]bool) error {
	xt, rt := c.T(1), c.T(2)
	batch, err := c.Ints(3)
	if err != nil {
		return err
	}
	if xt == nil || rt == nil || xt.Rank() != 4 || rt.Rank() != 2 || rt.Dim(1) != 4 || len(batch) != rt.Dim(0) {
		return fmt.Errorf("X is %v, rois %v and %d batch_indices, want [n c h w], [k 4] and k", xt, rt, len(batch))
	}
	b := &roiBack[T]{v: v, batch: batch, channels: xt.Dim(1), h: xt.Dim(2), w: xt.Dim(3), n: v.h * v.w}
	for _, i := range batch {
		if i < 0 || i >= xt.Dim(0) {
			return fmt.Errorf("batch index %d is not in [0, %d]", i, xt.Dim(0)-1)
		}
	}
	if want := []int{len(batch), b.channels, v.h, v.w}; !slices.Equal(c.T(0).Shape(), want) {
		return fmt.Errorf("dY has shape %v, want %v", c.T(0).Shape(), want)
	}
	for i, to := range []*[]T{&b.dy, &b.x, &b.rois} {
		if *to, err = reals[T](c, i); err != nil {
			return err
		}
	}
	if len(b.dy) > 0 && len(b.x) == 0 {
		return fmt.Errorf("X has shape %v, which has nothing to sample", xt.Shape())
	}
	for i, to := range []*[]T{&b.dx, &b.drois} {
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
	if b.dx != nil { // a task has some channels of all regions, so the sums have one order
		const some = 8
		c.P.For((b.channels+some-1)/some, 1, func(lo, hi int) {
			for g := lo; g < hi; g++ {
				b.pixels(g*some, min((g+1)*some, b.channels))
			}
		})
	}
	if b.drois != nil {
		c.P.For(len(batch), 1, func(lo, hi int) {
			for k := lo; k < hi; k++ {
				b.corners(k)
			}
		})
	}
	return c.Ctx().Err()
}

// image returns where channel i of the image of region k begins.
func (b *roiBack[T]) image(k, i int) int { return (b.batch[k]*b.channels + i) * b.h * b.w }

// pixels adds to channels [lo, hi) of dX.
func (b *roiBack[T]) pixels(lo, hi int) {
	for k := range b.batch {
		roiPoints(b.v, b.rois[4*k:4*k+4], b.h, b.w, func(bin int, points []roiPoint) {
			for i := lo; i < hi; i++ {
				d, at := float64(b.dy[(k*b.channels+i)*b.n+bin]), b.image(k, i)
				dx := b.dx[at:][:b.h*b.w]
				if b.v.max {
					if p, j := largestPixel(b.x[at:], points); p >= 0 {
						dx[points[p].at[j]] += T(points[p].w[j] * d)
					}
					continue
				}
				d /= float64(len(points))
				for q := range points {
					for j, to := range points[q].at {
						dx[to] += T(points[q].w[j] * d)
					}
				}
			}
		})
	}
}

// largestPixel returns the point of a bin, and which of its pixels, that roiLargest takes; -1 without points.
func largestPixel[T floating](img []T, points []roiPoint) (point, pixel int) {
	point = -1
	best := 0.0
	for q := range points {
		for j, at := range points[q].at {
			if v := points[q].w[j] * float64(img[at]); point < 0 || v > best {
				best, point, pixel = v, q, j
			}
		}
	}
	return point, pixel
}

// corners sets dRois of region k.
func (b *roiBack[T]) corners(k int) {
	roi, v := b.rois[4*k:4*k+4], b.v
	g := roiGridOf(v, roi, b.h, b.w)
	// How the size of a region follows its second corner less its first.
	follow := func(size T, bins int) float64 {
		if !v.half && size < 1 {
			return 0
		}
		return 1 / float64(bins)
	}
	scale := T(v.scale)
	fx, fy := follow((roi[2]-roi[0])*scale, v.w), follow((roi[3]-roi[1])*scale, v.h)
	var sums [4]float64
	roiPoints(v, roi, b.h, b.w, func(bin int, points []roiPoint) {
		// moved adds what the sample q gives, of which the pixels have these factors.
		moved := func(q int, factors [4]float64) {
			uy := float64(bin/v.w) + (float64(q/g.gw)+0.5)/float64(g.gh)
			ux := float64(bin%v.w) + (float64(q%g.gw)+0.5)/float64(g.gw)
			wy, wx := roiSlopes(g.y+uy*g.bh, g.x+ux*g.bw, b.h, b.w)
			dy, dx := 0.0, 0.0
			for j, f := range factors {
				dy += wy[j] * f
				dx += wx[j] * f
			}
			sums[0] += dx * (1 - ux*fx)
			sums[1] += dy * (1 - uy*fy)
			sums[2] += dx * ux * fx
			sums[3] += dy * uy * fy
		}
		if v.max {
			for i := range b.channels {
				img := b.x[b.image(k, i):]
				if q, j := largestPixel(img, points); q >= 0 {
					var f [4]float64
					f[j] = float64(img[points[q].at[j]]) * float64(b.dy[(k*b.channels+i)*b.n+bin])
					moved(q, f)
				}
			}
			return
		}
		for q := range points {
			var f [4]float64
			for i := range b.channels {
				img, d := b.x[b.image(k, i):], float64(b.dy[(k*b.channels+i)*b.n+bin])/float64(len(points))
				for j, at := range points[q].at {
					f[j] += float64(img[at]) * d
				}
			}
			moved(q, f)
		}
	})
	for i, s := range sums {
		b.drois[4*k+i] = T(v.scale * s)
	}
}

// roiSlopes returns the derivatives of the weights that pointAt gives by y and by x.
func roiSlopes(y, x float64, h, w int) (wy, wx [4]float64) {
	if !(y >= -1 && y <= float64(h) && x >= -1 && x <= float64(w)) {
		return wy, wx
	}
	y0, y1, fy := roiPixels(y, h)
	x0, x1, fx := roiPixels(x, w)
	if y > 0 && y1 > y0 {
		wy = [4]float64{fx - 1, -fx, 1 - fx, fx}
	}
	if x > 0 && x1 > x0 {
		wx = [4]float64{fy - 1, 1 - fy, -fy, fy}
	}
	return wy, wx
}

// gradRoiAlign: by x.RoiAlignGrad.
func gradRoiAlign(c *GradContext) []*onnx.Value {
	n := c.G.NewNodeIn(Private, "RoiAlignGrad", slices.Clone(c.Node().Attrs), []*onnx.Value{c.DOut[0], c.X(0), c.X(1), c.X(2)}, 2)
	for i := range n.Out {
		if !c.Needs(i) {
			n.Out[i] = nil
		}
	}
	return c.Add(n)
}
