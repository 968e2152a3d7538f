package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Upsample: X resampled to ⌊shape·scales⌋, by nearest (floor) or linear
// interpolation at the coordinates i/scale.
//
//	X: T[…]    scales: float32, one for each dimension    Y: T
//
// Version 1 has height_scale and width_scale for X [n, c, h, w], version 7 the
// scales as an attribute. Version 10 deprecates the operator for Resize.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Upsample.html
func init() {
	register(&Op{
		Name: "Upsample", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferUpsample, Build: buildUpsample},
			{Since: 7, In: N(1), Out: N(1), Infer: inferUpsample, Build: buildUpsample},
			{Since: 9, In: N(2), Out: N(1), Infer: inferUpsample, Build: buildUpsample},
		},
	})
}

// parseUpsample returns the mode, and the scales if attributes give them.
func parseUpsample(a *attrs, opset int) (*resampler, []float32, error) {
	mode := a.OneOf("mode", "nearest", "linear", "bilinear")
	if mode == "bilinear" {
		mode = "linear"
	}
	r := &resampler{mode: mode, coord: "asymmetric", nearest: "floor"}
	switch {
	case opset < 7:
		if !a.HasAttr("height_scale") || !a.HasAttr("width_scale") {
			return nil, nil, fmt.Errorf("height_scale or width_scale is missing")
		}
		return r, []float32{1, 1, a.Float("height_scale", 1), a.Float("width_scale", 1)}, nil
	case opset < 9:
		s := a.Floats("scales", nil)
		if s == nil {
			return nil, nil, fmt.Errorf("attribute \"scales\" is missing")
		}
		return r, s, nil
	}
	return r, nil, nil
}

func inferUpsample(c *InferContext) error {
	_, scales, err := parseUpsample(&c.attrs, c.Opset())
	if err != nil {
		return err
	}
	t := c.In(0)
	c.Out[0] = onnx.UnrankedType(t.DType)
	if t.Ranked {
		if s := c.Const(1); s != nil && s.DType() == tensor.Float32 {
			scales = tensor.Data[float32](s)
		}
		c.Out[0] = onnx.TensorType(t.DType, scaledDims(t.Dims, scales, nil)...)
	}
	return nil
}

func buildUpsample(b *BuildContext) (Kernel, error) {
	r, scales, err := parseUpsample(&b.attrs, b.Opset())
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		s := scales
		if s == nil {
			var err error
			if s, err = reals[float32](c, 1); err != nil {
				return err
			}
		}
		return r.scaleAll(c, s)
	}, nil
}
