package ops

import "github.com/gneiss-run/gneiss/onnx"

// FastGelu (com.microsoft): Y = gelu(X + bias), where
// gelu(x) = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715*x^3))).
//
//	X: T[..., n]    bias: T[n], optional    Y: T[..., n]
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.FastGelu
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "FastGelu", Numerics: Rounding, Flush: true,
		Versions: []Version{
			{Since: 1, In: Arity{1, 2}, Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildFastGelu},
		},
	})
}

func gradMSFastGelu(c *GradContext) []*onnx.Value {
	return gradBiasGelu("GeluTanh")(c)
}

func buildFastGelu(b *BuildContext) (Kernel, error) {
	return b.need(0, biasKernels("bias", geluTanhLoops))
}
