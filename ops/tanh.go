package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Tanh: output = tanh(input), element-wise.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Tanh.html
func init() {
	register(&Op{
		Name:     "Tanh",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, vecTable(func(t *vec.Table) byType { return floatKernels(t.Tanh, t.Tanh64) })),
	})
}

func gradTanh(c *GradContext) []*onnx.Value {
	return gradActivation("Tanh", nil)(c)
}
