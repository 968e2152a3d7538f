package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Asin: output = asin(input), element-wise, in radians.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Asin.html
func init() {
	register(&Op{
		Name:     "Asin",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(7, vecTable(func(t *vec.Table) byType { return floatKernels(t.Asin, mapLoop(math.Asin)) })),
	})
}

func gradAsin(c *GradContext) []*onnx.Value {
	return gradUnary(func(c *GradContext, x, _ *onnx.Value) *onnx.Value {
		return c.Op("Reciprocal", nil, c.Op("Sqrt", nil, c.oneMinusSquare(x)))
	})(c)
}
