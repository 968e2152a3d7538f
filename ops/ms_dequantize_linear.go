package ops

// DequantizeLinear (com.microsoft): as ai.onnx's, which see.
//
//	x: T1[...]    x_scale: float32 or float16, x_zero_point: T1    y: of x_scale's type, x's shape
//
// T1: int8, uint8, int16, uint16, int32, int4, uint4.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.DequantizeLinear
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "DequantizeLinear", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{2, 3}, Out: N(1), Infer: inferDequantizeLinear, Build: buildDequantizeLinear},
		},
	})
}
