package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// LinearAttentionGate (com.microsoft): what gates LinearAttention,
// decay = decay_scale · softplus(a + dt_bias) and beta = sigmoid(b).
//
//	a, b (optional): T[b, t, h]    dt_bias, decay_scale: float32[h]    decay, beta (optional): T[b, t, h]
//
// Computed in float32.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.LinearAttentionGate
func init() {
	register(&Op{Domain: "com.microsoft", Name: "LinearAttentionGate", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{3, 4}, Out: Arity{1, 2}, Expand: expandLinearAttentionGate},
	}})
}

func expandLinearAttentionGate(c *ExpandContext) ([]*onnx.Value, error) {
	decay := c.Op("Softplus", nil, c.Op("Add", nil, c.asFloat32(c.value(0)), c.value(1)))
	out := []*onnx.Value{c.backFrom32(c.Op("Mul", nil, decay, c.value(2)), c.In(0)), nil}
	switch {
	case c.Has(3):
		out[1] = c.backFrom32(c.Op("Sigmoid", nil, c.asFloat32(c.value(3))), c.In(3))
	case len(c.node.Out) > 1 && c.node.Out[1] != nil:
		return nil, fmt.Errorf("beta is wanted, and b is absent")
	}
	return out, nil
}

// asFloat32 returns v, a tensor of floating-point numbers, as float32.
func (c *ExpandContext) asFloat32(v *onnx.Value) *onnx.Value {
	if v == nil || v.Type.DType == tensor.Float32 {
		return v
	}
	return c.Op("Cast", onnx.NewAttrs("to", tensor.Float32), v)
}

// backFrom32 returns v, float32, in the element type of t.
func (c *ExpandContext) backFrom32(v *onnx.Value, t onnx.Type) *onnx.Value {
	if t.DType == tensor.Float32 {
		return v
	}
	return c.Op("Cast", onnx.NewAttrs("to", t.DType), v)
}
