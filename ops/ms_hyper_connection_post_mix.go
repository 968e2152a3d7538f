package ops

import "github.com/gneiss-run/gneiss/onnx"

// HyperConnectionPostMix (com.microsoft): output = stream_mixᵀ · streams + post_mix · block_output.
//
//	streams, output: T[…, c, h], or T[…, c*h] with num_branches = c    block_output: T[…, h]
//	post_mix: M[…, c], […, c, 1] or […, c, h]    stream_mix (optional, the identity): M[…, c, c]
//
// Computed in float32.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.HyperConnectionPostMix
func init() {
	register(&Op{Domain: "com.microsoft", Name: "HyperConnectionPostMix", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{3, 4}, Out: N(1), Expand: expandHyperConnectionPostMix},
	}})
}

func expandHyperConnectionPostMix(c *ExpandContext) ([]*onnx.Value, error) {
	x := c.branches(0)
	y := c.Op("Mul", nil, c.gates(2, x), c.at("Unsqueeze", 13, nil, 1, c.asFloat32(c.value(1)), c.Builder.Ints(-2))[0])
	if c.Has(3) {
		x = c.at("Einsum", 12, onnx.NewAttrs("equation", "...ck,...ch->...kh"), 1, c.asFloat32(c.value(3)), x)[0]
	}
	y = c.Op("Reshape", nil, c.Op("Add", nil, x, y), c.Op("Shape", nil, c.value(0)))
	return []*onnx.Value{c.backFrom32(y, c.In(0))}, nil
}
