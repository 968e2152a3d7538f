package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Atanh: output = atanh(input), element-wise.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Atanh.html
func init() {
	register(&Op{
		Name:     "Atanh",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(9, vecTable(func(t *vec.Table) byType { return floatKernels(atanhLoop(t), mapLoop(math.Atanh)) })),
	})
}

func gradAtanh(c *GradContext) []*onnx.Value {
	return gradUnary(func(c *GradContext, x, _ *onnx.Value) *onnx.Value {
		return c.Op("Reciprocal", nil, c.oneMinusSquare(x))
	})(c)
}
