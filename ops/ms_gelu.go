package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Gelu (com.microsoft): Y = X/2 * (1 + erf(X/sqrt(2))), element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.Gelu
func init() {
	register(&Op{
		Domain: "com.microsoft", Name: "Gelu", Numerics: Rounding, Flush: true,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: vecTable(func(t *vec.Table) byType { return floatKernels(t.Gelu, mapLoop(gelu64)) })},
		},
	})
}

func gradMSGelu(c *GradContext) []*onnx.Value {
	return gradActivation("Gelu", nil)(c)
}
