package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Mish: Y = X * tanh(log(1 + e^X)), element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Mish.html
func init() {
	register(&Op{
		Name:     "Mish",
		Numerics: Rounding,
		Flush:    true,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(18, vecTable(func(t *vec.Table) byType { return floatKernels(t.Mish, mapLoop(mish64)) })),
	})
}

func gradMish(c *GradContext) []*onnx.Value {
	return gradActivation("Mish", nil)(c)
}
