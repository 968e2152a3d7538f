package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Acos: output = acos(input), element-wise, in radians.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Acos.html
func init() {
	register(&Op{
		Name:     "Acos",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(7, vecTable(func(t *vec.Table) byType { return floatKernels(t.Acos, mapLoop(math.Acos)) })),
	})
}

func gradAcos(c *GradContext) []*onnx.Value {
	return gradUnary(func(c *GradContext, x, _ *onnx.Value) *onnx.Value {
		return c.Negated(c.Op("Reciprocal", nil, c.Op("Sqrt", nil, c.oneMinusSquare(x))))
	})(c)
}
