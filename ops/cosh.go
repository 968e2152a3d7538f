package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
)

// Cosh: output = cosh(input), element-wise.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Cosh.html
func init() {
	register(&Op{
		Name:     "Cosh",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(9, buildTable(mathKernels(math.Cosh))),
	})
}

func gradCosh(c *GradContext) []*onnx.Value {
	return gradUnary(func(c *GradContext, x, _ *onnx.Value) *onnx.Value { return c.Op("Sinh", nil, x) })(c)
}
