package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Swish: Y = X * sigmoid(alpha * X), element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Swish.html
func init() {
	register(&Op{
		Name:     "Swish",
		Numerics: Rounding,
		Flush:    true,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(24, buildSwish),
	})
}

func gradSwish(c *GradContext) []*onnx.Value {
	return gradActivation("Swish", alphaOnly("alpha", 1))(c)
}

func buildSwish(b *BuildContext) (Kernel, error) {
	return b.need(0, swishKernels(b.Float("alpha", 1)))
}

func swishKernels(alpha float32) byType {
	t := vec.Best()
	return floatKernels(
		func(d, x []float32) { t.Swish(d, x, alpha) },
		mapLoop(func(x float64) float64 { return swish64(x, float64(alpha)*x) }))
}
