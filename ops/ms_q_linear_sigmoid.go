package ops

import "math"

// QLinearSigmoid (com.microsoft): Y = quantize(1 / (1 + exp(-dequantize(X)))).
//
//	X: u8 or i8 [...]    Y: the same type and shape
//	scales: float32, one; zero points: one, absent: 0
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearSigmoid
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearSigmoid", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{4, 5}, Absent: []int{2}, Out: N(1), Infer: inferSame, Build: buildQLinearSigmoid},
		},
	})
}

func buildQLinearSigmoid(*BuildContext) (Kernel, error) {
	return buildQuantizedUnary(func(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }), nil
}
