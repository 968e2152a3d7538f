package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Resize: resamples X to ⌊shape·scales⌋ or sizes, by nearest element, linear or
// cubic interpolation along each resized axis.
//
//	X: T[d0, d1, …]                   T: any type for nearest, numbers for linear and cubic
//	roi: float [2·axes]               read by tf_crop_and_resize: starts, then ends
//	scales: float32 [axes]            sizes: int64 [axes]; just one of the two
//	Y: T
//
// Weights are computed once per axis and position; axes are resampled one after
// the other. Interpolated integers are cut towards zero. Version 10 is the
// asymmetric transformation; nearest is then floor where an axis grows and ceil
// where it shrinks, as the backend tests of that version have it. With
// keep_aspect_ratio_policy one scale, the smallest or largest of sizes/shape, holds
// for all axes.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Resize.html
func init() {
	register(&Op{
		Name: "Resize", Numerics: Rounding,
		Versions: []Version{
			{Since: 10, In: N(2), Out: N(1), Infer: inferResize10, Build: buildResize10},
			{Since: 11, In: Arity{3, 4}, Absent: []int{1, 2}, Out: N(1), Infer: inferResize, Build: buildResize},
			// 13 makes roi and scales optional, 18 adds antialias, axes and
			// keep_aspect_ratio_policy, 19 half_pixel_symmetric.
			{Since: 13, In: Arity{1, 4}, Out: N(1), Infer: inferResize, Build: buildResize},
		},
	})
}

func inferResize10(c *InferContext) error {
	c.OneOf("mode", "nearest", "linear")
	t := c.In(0)
	c.Out[0] = onnx.UnrankedType(t.DType)
	if t.Ranked {
		var scales []float32
		if s := c.Const(1); s != nil && s.DType() == tensor.Float32 {
			scales = tensor.Data[float32](s)
		}
		c.Out[0] = onnx.TensorType(t.DType, scaledDims(t.Dims, scales, nil)...)
	}
	return nil
}

// scaledDims multiplies dims, or the listed axes of them, by scales (nil: unknown).
func scaledDims(dims []onnx.Dim, scales []float32, axes []int) []onnx.Dim {
	out := slices.Clone(dims)
	if axes == nil {
		for i := range dims {
			axes = append(axes, i)
		}
	}
	for i, a := range axes {
		n, ok := dims[a].Size()
		switch {
		case len(scales) == len(axes) && scales[i] == 1:
		case len(scales) == len(axes) && ok:
			out[a] = onnx.Size(scaledSize(n, scales[i]))
		default:
			out[a] = onnx.Dim{}
		}
	}
	return out
}

// scaledSize returns ⌊n·scale⌋, in float32 as ONNX Runtime computes it.
func scaledSize(n int, scale float32) int {
	return int(math.Floor(float64(float32(n) * scale)))
}

func buildResize10(b *BuildContext) (Kernel, error) {
	r := &resampler{mode: b.OneOf("mode", "nearest", "linear"), coord: "asymmetric", nearest: "simple"}
	return func(c *Call) error {
		s, err := reals[float32](c, 1)
		if err != nil {
			return err
		}
		return r.scaleAll(c, s)
	}, nil
}

// scaleAll resizes input 0 by a scale for each dimension.
func (r *resampler) scaleAll(c *Call, scales []float32) error {
	x := c.T(0)
	if x == nil {
		return fmt.Errorf("X is absent")
	}
	if len(scales) != x.Rank() {
		return fmt.Errorf("scales have %d elements, want %d", len(scales), x.Rank())
	}
	axes, shape := axesFor(c, x.Rank()), c.Dims(x.Rank())
	for i, s := range scales {
		if err := checkScale(s, x.Dim(i)); err != nil {
			return err
		}
		shape[i] = scaledSize(x.Dim(i), s)
		axes[i] = resizeAxis{in: x.Dim(i), out: shape[i], scale: float64(s), length: float64(x.Dim(i)) * float64(s), end: 1}
	}
	return r.resizeTo(c, axes, shape)
}

func checkScale(s float32, n int) error {
	if !(s > 0) || float64(s)*float64(n) > math.MaxInt32 {
		return fmt.Errorf("scale %g of a dimension of %d, want a positive one and less than 2^31 elements", s, n)
	}
	return nil
}

// resizeAttrs are the attributes since version 11.
type resizeAttrs struct {
	resampler
	axes    []int // nil: all
	policy  string
	hasAxes bool
}

func parseResize(a *attrs, opset int) *resizeAttrs {
	v := &resizeAttrs{resampler: resampler{
		mode: a.OneOf("mode", "nearest", "linear", "cubic"),
		coord: a.OneOf("coordinate_transformation_mode", "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners",
			"asymmetric", "tf_half_pixel_for_nn", "tf_crop_and_resize"),
		nearest: a.OneOf("nearest_mode", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil"),
		cubicA:  float64(a.Float("cubic_coeff_a", -0.75)), exclude: a.Bool("exclude_outside", false), extra: float64(a.Float("extrapolation_value", 0)),
	}, policy: "stretch"}
	if opset >= 18 {
		v.antialias = a.Bool("antialias", false) && v.mode != "nearest"
		v.hasAxes = a.HasAttr("axes")
		v.axes = a.Ints("axes", nil)
		v.policy = a.OneOf("keep_aspect_ratio_policy", "stretch", "not_larger", "not_smaller")
	}
	if v.mode != "cubic" && !v.antialias { // these filters never leave the tensor
		v.exclude = false
	}
	return v
}

// axesOf appends to out, which is empty, the resized axes for a rank.
func (v *resizeAttrs) axesOf(out []int, rank int) ([]int, error) {
	if !v.hasAxes {
		for i := range rank {
			out = append(out, i)
		}
		return out, nil
	}
	for _, a := range v.axes {
		at, err := tensor.Axis(a, rank)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, at) {
			return nil, fmt.Errorf("axis %d is there twice", a)
		}
		out = append(out, at)
	}
	return out, nil
}

func inferResize(c *InferContext) error {
	v := parseResize(&c.attrs, c.Opset())
	t := c.In(0)
	c.Out[0] = onnx.UnrankedType(t.DType)
	if !t.Ranked {
		return nil
	}
	axes, err := v.axesOf(nil, len(t.Dims))
	if err != nil {
		return err
	}
	var dims []onnx.Dim
	sizes, ok := c.KnownInts(3)
	s := c.Const(2)
	switch {
	case ok && len(sizes) == len(axes) && len(axes) > 0 && v.policy == "stretch":
		dims = slices.Clone(t.Dims)
		for i, a := range axes {
			dims[a] = sizes[i]
		}
	case !c.Has(3) && s != nil && s.DType() == tensor.Float32:
		dims = scaledDims(t.Dims, tensor.Data[float32](s), axes)
	default:
		dims = scaledDims(t.Dims, nil, axes)
	}
	c.Out[0] = onnx.TensorType(t.DType, dims...)
	return nil
}

func buildResize(b *BuildContext) (Kernel, error) {
	v := parseResize(&b.attrs, b.Opset())
	return v.run, nil
}

func (v *resizeAttrs) run(c *Call) error {
	x := c.T(0)
	if x == nil {
		return fmt.Errorf("X is absent")
	}
	axes, shape, err := v.plan(c, x.Shape())
	if err != nil {
		return err
	}
	return v.resizeTo(c, axes, shape)
}

// plan returns how each axis of a tensor of shape in is resized by inputs 1 to 3,
// and the shape that results.
func (v *resizeAttrs) plan(c *Call, in []int) ([]resizeAxis, []int, error) {
	at, err := v.axesOf(c.Dims(len(in))[:0], len(in))
	if err != nil {
		return nil, nil, err
	}
	shape := c.list(in...)
	axes := axesFor(c, len(shape))
	for i, n := range shape {
		axes[i] = resizeAxis{in: n, out: n, scale: 1, length: float64(n), end: 1}
	}
	scales, err := reals[float32](c, 2)
	if err != nil {
		return nil, nil, err
	}
	sizes, err := c.Ints(3)
	if err != nil {
		return nil, nil, err
	}
	if v.coord == "tf_crop_and_resize" {
		roi, err := reals[float64](c, 1)
		if err != nil {
			return nil, nil, err
		}
		if len(roi) != 2*len(at) {
			return nil, nil, fmt.Errorf("roi has %d elements, want %d", len(roi), 2*len(at))
		}
		for i, a := range at {
			axes[a].start, axes[a].end = roi[i], roi[len(at)+i]
		}
	}
	switch {
	case len(scales) > 0 && len(sizes) > 0:
		return nil, nil, fmt.Errorf("both scales and sizes are given")
	case len(scales) > 0:
		if len(scales) != len(at) {
			return nil, nil, fmt.Errorf("scales have %d elements, want %d", len(scales), len(at))
		}
		for i, a := range at {
			if err := checkScale(scales[i], shape[a]); err != nil {
				return nil, nil, err
			}
			shape[a] = scaledSize(shape[a], scales[i])
			axes[a].out, axes[a].scale = shape[a], float64(scales[i])
			axes[a].length = float64(axes[a].in) * axes[a].scale
		}
	case len(sizes) > 0:
		if len(sizes) != len(at) {
			return nil, nil, fmt.Errorf("sizes have %d elements, want %d", len(sizes), len(at))
		}
		one := 0.0
		for i, a := range at {
			if sizes[i] < 0 || sizes[i] > math.MaxInt32 {
				return nil, nil, fmt.Errorf("sizes are %v, want 0 to 2^31-1", sizes)
			}
			s := float64(sizes[i]) / float64(shape[a])
			if i == 0 || v.policy == "not_larger" && s < one || v.policy == "not_smaller" && s > one {
				one = s
			}
		}
		for i, a := range at {
			axes[a].out = sizes[i]
			axes[a].scale = float64(sizes[i]) / float64(shape[a])
			if v.policy != "stretch" {
				axes[a].scale = one
				axes[a].out = int(math.Floor(one*float64(shape[a]) + 0.5))
			}
			axes[a].length = float64(axes[a].out)
			shape[a] = axes[a].out
		}
	case len(at) == 0:
	default:
		return nil, nil, fmt.Errorf("neither scales nor sizes are given")
	}
	return axes, shape, nil
}

// axesFor returns memory for n axes, until the call ends.
func axesFor(c *Call, n int) []resizeAxis {
	s := State[[]resizeAxis](c)
	*s = slices.Grow((*s)[:0], n)[:n]
	return *s
}

// gradResize: the transposed of the same sampling.
func gradResize(c *GradContext) []*onnx.Value {
	var as onnx.Attrs
	for _, a := range c.Node().Attrs {
		as = as.Set(a.Name, a.Value)
	}
	parseResize(&c.Attr, c.Node().Opset)
	return []*onnx.Value{c.Ops(Private, "ResizeGrad", as, 1, c.DOut[0], c.X(1), c.X(2), c.X(3), c.shapeOf(c.X(0)))[0]}
}
