package ops

// QLinearMul (com.microsoft): C = quantize(dequantize(A) * dequantize(B)),
// with broadcasting.
//
//	A, B: u8 or i8, both the same    C: the same type
//	scales: float32, one; zero points: one, absent: 0
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearMul
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearMul", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{7, 8}, Absent: []int{2, 5}, Out: N(1), Infer: inferQLinearMul, Build: buildQLinearMul},
		},
	})
}

func inferQLinearMul(c *InferContext) error { return inferBroadcastOf(c, c.In(0).DType, 0, 3) }

func buildQLinearMul(*BuildContext) (Kernel, error) {
	return buildQuantizedBinary(true), nil
}
