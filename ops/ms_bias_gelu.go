package ops

import "github.com/gneiss-run/gneiss/onnx"

// BiasGelu (com.microsoft): C = gelu(A + B), gelu(x) = x/2 * (1 + erf(x/sqrt(2))).
//
//	A: T[..., n]    B: T[n]    C: T[..., n]
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.BiasGelu
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "BiasGelu", Numerics: Rounding, Flush: true,
		Versions: []Version{
			{Since: 1, In: N(2), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildBiasGelu},
		},
	})
}

func gradMSBiasGelu(c *GradContext) []*onnx.Value {
	return gradBiasGelu("Gelu")(c)
}

func buildBiasGelu(b *BuildContext) (Kernel, error) { return b.need(0, biasKernels("B", geluLoops)) }
