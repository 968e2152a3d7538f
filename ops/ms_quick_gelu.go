package ops

import "github.com/gneiss-run/gneiss/onnx"

// QuickGelu (com.microsoft): Y = X * sigmoid(alpha * X), element-wise; alpha is 1.702.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.QuickGelu
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "QuickGelu", Numerics: Rounding, Flush: true,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildQuickGelu},
		},
	})
}

func gradMSQuickGelu(c *GradContext) []*onnx.Value {
	return gradActivation("Swish", alphaOnly("alpha", 1.702))(c)
}

func buildQuickGelu(b *BuildContext) (Kernel, error) {
	return b.need(0, swishKernels(b.Float("alpha", 1.702)))
}
