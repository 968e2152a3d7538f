package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Softplus: Y = log(1 + e^X), element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Softplus.html
func init() {
	register(&Op{
		Name:     "Softplus",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: plainVersions(1, vecTable(func(t *vec.Table) byType { return floatKernels(t.Softplus, mapLoop(softplus64)) })),
	})
}

func gradSoftplus(c *GradContext) []*onnx.Value {
	return gradActivation("Softplus", nil)(c)
}
