package ops

// QLinearAdd (com.microsoft): C = quantize(dequantize(A) + dequantize(B)),
// with broadcasting.
//
//	A, B: u8 or i8, both the same    C: the same type
//	scales: float32, one; zero points: one, absent: 0
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearAdd
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearAdd", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{7, 8}, Absent: []int{2, 5}, Out: N(1), Infer: inferQLinearAdd, Build: buildQLinearAdd},
		},
	})
}

func inferQLinearAdd(c *InferContext) error { return inferBroadcastOf(c, c.In(0).DType, 0, 3) }

func buildQLinearAdd(*BuildContext) (Kernel, error) {
	return buildQuantizedBinary(false), nil
}
