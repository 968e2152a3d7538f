package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// DynamicQuantizeLinear: y = x quantized to uint8 over its own range, which is
// made to hold 0.
//
//	x: float32[...]    y: uint8[...], x's shape    y_scale: float32[]    y_zero_point: uint8[]
//
// y_scale = (max(x, 0) - min(x, 0)) / 255, or 1 if that is 0, and y_zero_point =
// saturate(round(-min(x, 0) / y_scale)). NaN does not count for the range.
//
// Spec: https://onnx.ai/onnx/operators/onnx__DynamicQuantizeLinear.html
func init() {
	register(&Op{
		Name:     "DynamicQuantizeLinear",
		Numerics: Rounding,
		Versions: []Version{
			{Since: 11, In: N(1), Out: N(3), Infer: inferDynamicQuantizeLinear, Build: buildDynamicQuantizeLinear},
		},
	})
}

func inferDynamicQuantizeLinear(c *InferContext) error {
	t := c.In(0)
	t.Kind, t.DType = onnx.TensorKind, tensor.Uint8
	for i, t := range []onnx.Type{t, onnx.TensorType(tensor.Float32), onnx.TensorType(tensor.Uint8)}[:len(c.Out)] {
		c.Out[i] = t
	}
	return nil
}

func buildDynamicQuantizeLinear(b *BuildContext) (Kernel, error) {
	return b.need(0, byType{tensor.Float32: func(c *Call) error {
		t := c.T(0)
		if t == nil {
			return fmt.Errorf("x is absent")
		}
		x := tensor.Data[float32](t)
		y := tensor.Data[uint8](c.Output(0, tensor.Uint8, t.Shape()...))
		q := quantizeDynamically(c.P, y, x)
		if c.Wants(1) {
			tensor.Data[float32](c.Output(1, tensor.Float32))[0] = q.scale
		}
		if c.Wants(2) {
			tensor.Data[uint8](c.Output(2, tensor.Uint8))[0] = uint8(q.zero)
		}
		return nil
	}})
}
