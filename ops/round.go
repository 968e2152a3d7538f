package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// Round: Y = the integer nearest to X, element-wise; halves go to the even one.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Round.html
func init() {
	register(&Op{
		Name:     "Round",
		Numerics: Exact,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(11, vecTable(func(t *vec.Table) byType { return floatKernels(t.Round, roundLoop64) })),
	})
}
