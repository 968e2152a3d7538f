package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Softsign: output = input / (1 + |input|), element-wise.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Softsign.html
func init() {
	register(&Op{
		Name:     "Softsign",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: plainVersions(1, vecTable(func(t *vec.Table) byType { return floatKernels(softsignLoop32(t), softsignLoop) })),
	})
}

func gradSoftsign(c *GradContext) []*onnx.Value {
	return gradActivation("Softsign", nil)(c)
}
