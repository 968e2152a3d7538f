package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// Floor: Y = the greatest integer that is not above X, element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Floor.html
func init() {
	register(&Op{
		Name:     "Floor",
		Numerics: Exact,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, vecTable(func(t *vec.Table) byType { return floatKernels(t.Floor, t.Floor64) })),
	})
}
