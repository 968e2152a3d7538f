package ops

import "github.com/gneiss-run/gneiss/onnx"

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
		Versions: plainVersions(1, buildTable(floatKernels(softsignLoop[float32], softsignLoop[float64]))),
	})
}

func gradSoftsign(c *GradContext) []*onnx.Value {
	return gradActivation("Softsign", nil)(c)
}
