package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
)

// Celu: Y = max(0, X) + min(0, alpha * (e^(X/alpha) - 1)), element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Celu.html
func init() {
	register(&Op{
		Name:     "Celu",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(12, buildCelu),
	})
}

func gradCelu(c *GradContext) []*onnx.Value {
	return gradActivation("Celu", alphaOnly("alpha", 1))(c)
}

func buildCelu(b *BuildContext) (Kernel, error) {
	alpha := float64(b.Float("alpha", 1))
	return b.need(0, mathKernels(func(x float64) float64 {
		if x < 0 {
			return alpha * math.Expm1(x/alpha)
		}
		return x
	}))
}
