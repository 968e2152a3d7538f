package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Exp: output = e^input, element-wise.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Exp.html
func init() {
	register(&Op{
		Name:     "Exp",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, vecTable(func(t *vec.Table) byType { return floatKernels(t.Exp, t.Exp64) })),
	})
}

func gradExp(c *GradContext) []*onnx.Value {
	return gradUnary(func(_ *GradContext, _, y *onnx.Value) *onnx.Value { return y })(c)
}
