package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
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
	m := mathKernels(func(x float64) float64 {
		if x < 0 {
			return alpha * math.Expm1(x/alpha)
		}
		return x
	})
	if alpha == 1 {
		t := vec.Best()
		elu := func(d, x []float32) { t.Elu(d, x, 1) }
		m[tensor.Float32] = unaryKernel(elu)
		m[tensor.Float16], m[tensor.BFloat16] = unaryKernel(widenLoop[tensor.F16](elu)), unaryKernel(widenLoop[tensor.BF16](elu))
	}
	return b.need(0, m)
}
