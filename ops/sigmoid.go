package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Sigmoid: Y = 1 / (1 + e^-X), element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Sigmoid.html
func init() {
	register(&Op{
		Name:     "Sigmoid",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, vecTable(func(t *vec.Table) byType { return floatKernels(t.Sigmoid, sigmoidLoop64(t)) })),
	})
}

func gradSigmoid(c *GradContext) []*onnx.Value {
	return gradActivation("Sigmoid", nil)(c)
}
