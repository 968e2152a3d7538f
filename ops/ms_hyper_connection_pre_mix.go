package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// HyperConnectionPreMix (com.microsoft): output = reduction_scale · Σ streams · pre_mix, the sum over the c streams.
//
//	streams: T[…, c, h], or T[…, c*h] with num_branches = c    output: T[…, h]
//	pre_mix: M[…, c], […, c, 1], […, c, h] or […, c*h]
//
// Computed in float32.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.HyperConnectionPreMix
func init() {
	register(&Op{Domain: "com.microsoft", Name: "HyperConnectionPreMix", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(2), Out: N(1), Expand: expandHyperConnectionPreMix},
	}})
}

func expandHyperConnectionPreMix(c *ExpandContext) ([]*onnx.Value, error) {
	x := c.branches(0)
	y := c.at("ReduceSum", 13, onnx.NewAttrs("keepdims", 0), 1, c.Op("Mul", nil, x, c.gates(1, x)), c.Builder.Ints(-2))[0]
	if s := c.attrs.Float("reduction_scale", 1); s != 1 {
		y = c.Op("Mul", nil, y, c.Builder.Float(tensor.Float32, float64(s)))
	}
	return []*onnx.Value{c.backFrom32(y, c.In(0))}, nil
}

// gates returns input i, one number for each stream of x […, c, h] or for each of its elements, in float32 as […, c, 1] or […, c, h].
func (c *ExpandContext) gates(i int, x *onnx.Value) *onnx.Value {
	shape := c.Op("Concat", onnx.NewAttrs("axis", 0), c.Op("Shape", onnx.NewAttrs("end", -1), x), c.Builder.Ints(-1))
	return c.Op("Reshape", nil, c.asFloat32(c.value(i)), shape)
}
