package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Reciprocal: Y = 1 / X, element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Reciprocal.html
func init() {
	register(&Op{
		Name:     "Reciprocal",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, vecTable(func(t *vec.Table) byType { return floatKernels(t.Reciprocal, t.Reciprocal64) })),
	})
}

func gradReciprocal(c *GradContext) []*onnx.Value {
	return gradUnary(func(c *GradContext, _, y *onnx.Value) *onnx.Value { return c.Negated(c.Times(y, y)) })(c)
}
