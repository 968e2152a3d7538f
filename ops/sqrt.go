package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Sqrt: Y = the square root of X, element-wise; NaN where X < 0.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Sqrt.html
func init() {
	register(&Op{
		Name:     "Sqrt",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, vecTable(func(t *vec.Table) byType { return floatKernels(t.Sqrt, t.Sqrt64) })),
	})
}

func gradSqrt(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.Over(c.Scaled(c.DOut[0], 0.5), c.Y(0))}
}
