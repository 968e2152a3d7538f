package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Log: output = the natural logarithm of input, element-wise.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Log.html
func init() {
	register(&Op{
		Name:     "Log",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, vecTable(func(t *vec.Table) byType { return floatKernels(t.Log, t.Log64) })),
	})
}

func gradLog(c *GradContext) []*onnx.Value { return []*onnx.Value{c.Over(c.DOut[0], c.X(0))} }
