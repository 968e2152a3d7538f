package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
)

// Tan: output = tan(input), element-wise, in radians.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Tan.html
func init() {
	register(&Op{
		Name:     "Tan",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(7, buildTable(mathKernels(math.Tan))),
	})
}

func gradTan(c *GradContext) []*onnx.Value {
	return gradUnary(func(c *GradContext, _, y *onnx.Value) *onnx.Value { return c.onePlusSquare(y) })(c)
}
