package ops

// QuantizeLinear (com.microsoft): as ai.onnx's, which see.
//
//	x: float32[...] or float16[...]    y_scale: of x's type, y_zero_point: T2    y: T2[...], x's shape
//
// T2: int8, uint8, int16, uint16, int4, uint4.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QuantizeLinear
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QuantizeLinear", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{2, 3}, Out: N(1), Infer: inferQuantizeLinear, Build: buildQuantizeLinear},
		},
	})
}
