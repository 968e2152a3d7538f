package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// HardSwish: Y = X * max(0, min(1, X/6 + 1/2)), element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__HardSwish.html
func init() {
	register(&Op{
		Name:     "HardSwish",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(14, vecTable(func(t *vec.Table) byType { return floatKernels(t.HardSwish, hardSwishLoop[float64]) })),
	})
}

func gradHardSwish(c *GradContext) []*onnx.Value {
	return gradActivation("HardSwish", nil)(c)
}
