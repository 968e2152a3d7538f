package ops

import "github.com/gneiss-run/gneiss/onnx"

// GatedRMSNorm (com.microsoft): Y = X / sqrt(mean(X²) + epsilon) · scale · f(gate),
// the mean over each n elements that follow each other; f is activation, silu
// (swish) or sigmoid.
//
//	X, gate, Y: T[…, h*n]    scale: T[n]
//
// Computed in float32.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.GatedRMSNorm
func init() {
	register(&Op{Domain: "com.microsoft", Name: "GatedRMSNorm", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: N(3), Out: N(1), Expand: expandGatedRMSNorm},
	}})
}

func expandGatedRMSNorm(c *ExpandContext) ([]*onnx.Value, error) {
	act := c.OneOf("activation", "silu", "swish", "sigmoid")
	x, scale, gate := c.asFloat32(c.value(0)), c.asFloat32(c.value(1)), c.asFloat32(c.value(2))
	rows := c.Op("Reshape", nil, x, c.Op("Concat", onnx.NewAttrs("axis", 0), c.Builder.Ints(-1), c.Op("Shape", nil, scale)))
	norm := c.Op("SimplifiedLayerNormalization", onnx.NewAttrs("axis", -1, "epsilon", c.attrs.Float("epsilon", 1e-5)), rows, scale)
	norm = c.Op("Reshape", nil, norm, c.Op("Shape", nil, x))
	f := c.Op("Sigmoid", nil, gate)
	if act != "sigmoid" {
		f = c.Op("Mul", nil, gate, f)
	}
	return []*onnx.Value{c.backFrom32(c.Op("Mul", nil, norm, f), c.In(0))}, nil
}
