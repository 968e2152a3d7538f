package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Asinh: output = asinh(input), element-wise.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Asinh.html
func init() {
	register(&Op{
		Name:     "Asinh",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(9, vecTable(func(t *vec.Table) byType { return floatKernels(asinhLoop(t), mapLoop(math.Asinh)) })),
	})
}

func gradAsinh(c *GradContext) []*onnx.Value {
	return gradUnary(func(c *GradContext, x, _ *onnx.Value) *onnx.Value {
		return c.Op("Reciprocal", nil, c.Op("Sqrt", nil, c.onePlusSquare(x)))
	})(c)
}
