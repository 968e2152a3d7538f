package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// EngramGate (com.microsoft): output = gate · value, where gate = sigmoid(sign(d) · sqrt(max(|d|, 1e-6))) of
// d = Σ norm(key) · norm(query) / sqrt(h), and norm divides by the root of the mean square and multiplies by a scale.
//
//	key, query, output: T[b, l, c, h]    value: T[b, l, h]    key_norm_scale, query_norm_scale: T[c, h]
//	conv_norm_scale (optional): T[c, h]    gated_value_normed (optional): T[b, l, c, h], norm(output) by it
//
// Computed in float32.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.EngramGate
func init() {
	register(&Op{Domain: "com.microsoft", Name: "EngramGate", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{5, 6}, Out: Arity{1, 2}, Expand: expandEngramGate},
	}})
}

func expandEngramGate(c *ExpandContext) ([]*onnx.Value, error) {
	norm := func(x, scale *onnx.Value) *onnx.Value { return c.Op("Mul", nil, c.rms(x), c.asFloat32(scale)) }
	key, query := c.asFloat32(c.value(0)), c.asFloat32(c.value(1))
	size := c.Op("Cast", onnx.NewAttrs("to", tensor.Float32), c.Op("Shape", onnx.NewAttrs("start", -1), key))
	dot := c.Op("Mul", nil, norm(key, c.value(3)), norm(query, c.value(4)))
	dot = c.Op("Div", nil, c.at("ReduceSum", 13, nil, 1, dot, c.Builder.Ints(-1))[0], c.Op("Sqrt", nil, size))
	root := c.Op("Sqrt", nil, c.Op("Max", nil, c.Op("Abs", nil, dot), c.Builder.Float(tensor.Float32, 1e-6)))
	gate := c.Op("Sigmoid", nil, c.Op("Mul", nil, c.Op("Sign", nil, dot), root))
	y := c.Op("Mul", nil, gate, c.at("Unsqueeze", 13, nil, 1, c.asFloat32(c.value(2)), c.Builder.Ints(-2))[0])
	out := []*onnx.Value{c.backFrom32(y, c.In(0)), nil}
	if len(c.node.Out) > 1 && c.node.Out[1] != nil {
		if !c.Has(5) {
			return nil, fmt.Errorf("gated_value_normed is wanted, and conv_norm_scale is absent")
		}
		out[1] = c.backFrom32(norm(y, c.value(5)), c.In(0))
	}
	return out, nil
}
