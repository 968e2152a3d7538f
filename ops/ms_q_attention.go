package ops

import "github.com/gneiss-run/gneiss/onnx"

// QAttention (com.microsoft): Attention of quantized input and weights, whose
// product is MatMulIntegerToFloat.
//
//	input: u8 or i8 [b, l, n]    weight: u8 or i8 [n, h*d + h*d + h*dv]    bias: T[h*d + h*d + h*dv]
//	input_scale: T, one    weight_scale: T, one or per column    mask_index (optional): see Attention
//	input_zero_point (optional): one    weight_zero_point (optional): one or per column
//	past (optional): T[2, b, h, p, d]
//	output: T[b, l, h*dv]    present (optional): T[2, b, h, t, d], t = p + l
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QAttention
func init() {
	register(&Op{Domain: "com.microsoft", Name: "QAttention", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{5, 9}, Out: Arity{1, 2}, Expand: func(c *ExpandContext) ([]*onnx.Value, error) {
			x := c.Ops("com.microsoft", "MatMulIntegerToFloat", nil, 1,
				c.value(0), c.value(1), c.value(3), c.value(4), c.value(6), c.value(7), c.value(2))[0]
			return c.attendParts([]*onnx.Value{x}, c.value(5), c.value(8), nil)
		}},
	}})
}
