package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// QEmbedLayerNormalization (com.microsoft): EmbedLayerNormalization of
// dequantized tables, scale and bias.
//
//	input_ids: int32[b, t]    segment_ids (optional): int32[b, t]
//	word_embedding, position_embedding, segment_embedding (optional), gamma, beta: u8 or i8
//	mask (optional): int32[b, t]
//	their scales: T, and their zero_points: u8 or i8, in the same order, those of segment_embedding optional
//	layernorm_out: T[b, t, h]    mask_index_out: int32[b]
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QEmbedLayerNormalization
func init() {
	register(&Op{Domain: "com.microsoft", Name: "QEmbedLayerNormalization", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{18, 18}, Absent: []int{1, 4, 7, 10, 15}, Out: N(2), Expand: expandQEmbedLayerNorm},
	}})
}

func expandQEmbedLayerNorm(c *ExpandContext) ([]*onnx.Value, error) {
	in := []*onnx.Value{c.value(0), c.value(1)}
	for i := range 5 {
		x, scale, zero := c.value(2+i), c.value(8+i), c.value(13+i)
		if x != nil {
			if scale == nil || zero == nil {
				return nil, fmt.Errorf("input %d has no scale or no zero point", 2+i)
			}
			x = c.at("DequantizeLinear", 13, nil, 1, x, scale, zero)[0]
		}
		in = append(in, x)
	}
	as := onnx.NewAttrs("epsilon", c.attrs.Float("epsilon", 1e-12))
	return c.Ops("com.microsoft", "EmbedLayerNormalization", as, 2, append(in, c.value(7))...), nil
}
