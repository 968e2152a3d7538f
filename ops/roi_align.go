package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
)

// RoiAlign: each region of interest divided into output_height × output_width
// bins; Y is the average, or the maximum, of X interpolated at sampling points
// in each bin.
//
//	X: float [n, c, h, w]    rois: the type of X [k, 4]: x1, y1, x2, y2    batch_indices: int64 [k]
//	Y: the type of X [k, c, output_height, output_width]
//
// Since version 16 coordinate_transformation_mode half_pixel moves coordinates
// by half a pixel; before, and with output_half_pixel, they are not moved and
// regions have at least one pixel. In mode max the maximum is over the weighted
// corner pixels of each sampling point, as ONNX's reference has it.
//
// Spec: https://onnx.ai/onnx/operators/onnx__RoiAlign.html
func init() {
	register(&Op{
		Name: "RoiAlign", Numerics: Rounding,
		Versions: []Version{
			{Since: 10, In: N(3), Out: N(1), Infer: inferRoiAlign, Build: buildRoiAlign},
			{Since: 16, In: N(3), Out: N(1), Infer: inferRoiAlign, Build: buildRoiAlign},
		},
	})
}

// roiAligner are the attributes of RoiAlign.
type roiAligner struct {
	max, half   bool
	h, w, ratio int
	scale       float64
}

func parseRoiAlign(a *attrs, opset int) (*roiAligner, error) {
	v := &roiAligner{
		max: a.OneOf("mode", "avg", "max") == "max", h: a.Int("output_height", 1), w: a.Int("output_width", 1),
		ratio: a.Int("sampling_ratio", 0), scale: float64(a.Float("spatial_scale", 1)),
	}
	if opset >= 16 {
		v.half = a.OneOf("coordinate_transformation_mode", "half_pixel", "output_half_pixel") == "half_pixel"
	}
	if v.h < 1 || v.w < 1 || v.ratio < 0 || v.ratio > 1<<12 {
		return nil, fmt.Errorf("output_height is %d, output_width %d, sampling_ratio %d, want positive sizes and at most 4096 samples", v.h, v.w, v.ratio)
	}
	return v, nil
}

func inferRoiAlign(c *InferContext) error {
	v, err := parseRoiAlign(&c.attrs, c.Opset())
	if err != nil {
		return err
	}
	return inferRois(c, v.h, v.w)
}

// inferRois gives output 0 the shape [rois, channels, h, w].
func inferRois(c *InferContext, h, w int) error {
	x, r := c.In(0), c.In(1)
	dims := []onnx.Dim{{}, {}, onnx.Size(h), onnx.Size(w)}
	if r.Ranked {
		if len(r.Dims) != 2 {
			return fmt.Errorf("rois are %v, want 2 dimensions", r)
		}
		dims[0] = r.Dims[0]
	}
	if x.Ranked {
		if len(x.Dims) != 4 {
			return fmt.Errorf("X is %v, want 4 dimensions", x)
		}
		dims[1] = x.Dims[1]
	}
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	return nil
}

func buildRoiAlign(b *BuildContext) (Kernel, error) {
	v, err := parseRoiAlign(&b.attrs, b.Opset())
	if err != nil {
		return nil, err
	}
	return b.realKernels(0, func(c *Call) error { return roiAlign[float32](c, v) }, func(c *Call) error { return roiAlign[float64](c, v) })
}

func roiAlign[T floating](c *Call, v *roiAligner) error {
	x, err := reals[T](c, 0)
	if err != nil {
		return err
	}
	rois, err := reals[T](c, 1)
	if err != nil {
		return err
	}
	batch, err := c.Ints(2)
	if err != nil {
		return err
	}
	if !c.Has(1) || c.T(0).Rank() != 4 || c.T(1).Rank() != 2 || c.T(1).Dim(1) != 4 || len(batch) != c.T(1).Dim(0) {
		return fmt.Errorf("X is %v, rois %v and %d batch_indices, want [n c h w], [k 4] and k", c.T(0), c.T(1), len(batch))
	}
	xs := c.T(0).Shape()
	n, ch, h, w := xs[0], xs[1], xs[2], xs[3]
	for _, i := range batch {
		if i < 0 || i >= n {
			return fmt.Errorf("batch index %d is not in [0, %d]", i, n-1)
		}
	}
	y, done := realsOut[T](c, 0, c.T(0).DType(), len(batch), ch, v.h, v.w)
	if h*w == 0 && len(y) > 0 {
		return fmt.Errorf("X has shape %v, which has nothing to sample", xs)
	}
	c.P.For(len(batch), 1, func(lo, hi int) {
		for k := lo; k < hi; k++ {
			roiRegion(v, rois[4*k:4*k+4], h, w, func(bin int, points []roiPoint) {
				for i := range ch {
					img := x[(batch[k]*ch+i)*h*w:][:h*w]
					y[(k*ch+i)*v.h*v.w+bin] = pool(img, points, v.max)
				}
			})
		}
	})
	done()
	return c.Ctx().Err()
}

// roiPoint is a sampling point: four pixels with weights.
type roiPoint struct {
	at [4]int
	w  [4]float64
}

// pool joins the sampling points of one bin.
func pool[T floating](img []T, points []roiPoint, largest bool) T {
	if len(points) == 0 {
		return 0
	}
	sum, top := 0.0, math.Inf(-1)
	for i := range points {
		p := &points[i]
		for j, at := range p.at {
			u := p.w[j] * float64(img[at])
			sum += u
			top = max(top, u)
		}
	}
	if largest {
		return T(top)
	}
	return T(sum / float64(len(points)))
}

// roiRegion calls f for each bin of a region with its sampling points. Sizes are
// computed in T: in a wider type a whole number of pixels might not be one.
func roiRegion[T floating](v *roiAligner, roi []T, h, w int, f func(bin int, points []roiPoint)) {
	off, scale := T(0), T(v.scale)
	if v.half {
		off = 0.5
	}
	left, top := roi[0]*scale-off, roi[1]*scale-off
	rw, rh := roi[2]*scale-off-left, roi[3]*scale-off-top
	if !v.half {
		rw, rh = max(rw, 1), max(rh, 1)
	}
	x1, y1, bw, bh := float64(left), float64(top), float64(rw/T(v.w)), float64(rh/T(v.h))
	gw, gh := v.ratio, v.ratio
	if v.ratio == 0 {
		// More points than pixels bring nothing, and a wild region must not run for ever.
		gw, gh = int(min(max(math.Ceil(bw), 0), float64(4*w+4))), int(min(max(math.Ceil(bh), 0), float64(4*h+4)))
	}
	points := make([]roiPoint, 0, max(0, gw*gh))
	for i := range v.h {
		for j := range v.w {
			points = points[:0]
			for iy := range gh {
				y := y1 + float64(i)*bh + (float64(iy)+0.5)*bh/float64(gh)
				for ix := range gw {
					x := x1 + float64(j)*bw + (float64(ix)+0.5)*bw/float64(gw)
					points = append(points, pointAt(y, x, h, w))
				}
			}
			f(i*v.w+j, points)
		}
	}
}

// pointAt returns the pixels around a place; beyond one pixel outside all weights are 0.
func pointAt(y, x float64, h, w int) (p roiPoint) {
	if !(y >= -1 && y <= float64(h) && x >= -1 && x <= float64(w)) {
		return p
	}
	y, x = max(y, 0), max(x, 0)
	y0, x0 := int(y), int(x)
	y1, x1 := y0+1, x0+1
	if y0 >= h-1 {
		y0, y1, y = h-1, h-1, float64(h-1)
	}
	if x0 >= w-1 {
		x0, x1, x = w-1, w-1, float64(w-1)
	}
	fy, fx := y-float64(y0), x-float64(x0)
	p.at = [4]int{y0*w + x0, y0*w + x1, y1*w + x0, y1*w + x1}
	p.w = [4]float64{(1 - fy) * (1 - fx), (1 - fy) * fx, fy * (1 - fx), fy * fx}
	return p
}
