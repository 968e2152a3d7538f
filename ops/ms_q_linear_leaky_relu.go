package ops

// QLinearLeakyRelu (com.microsoft): Y = quantize(x if x >= 0, else alpha·x) with
// x = dequantize(X).
//
//	X: u8 or i8 [...]    Y: the same type and shape
//	scales: float32, one; zero points: one, absent: 0
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QLinearLeakyRelu
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QLinearLeakyRelu", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: Arity{4, 5}, Absent: []int{2}, Out: N(1), Infer: inferQLinearLeakyRelu, Build: buildQLinearLeakyRelu},
		},
	})
}

func inferQLinearLeakyRelu(c *InferContext) error {
	c.Float("alpha", 0.01)
	return inferSame(c)
}

func buildQLinearLeakyRelu(b *BuildContext) (Kernel, error) {
	alpha := b.Float("alpha", 0.01)
	return buildQuantizedUnary(func(x float32) float32 {
		if x < 0 {
			return alpha * x
		}
		return x
	}), nil
}
