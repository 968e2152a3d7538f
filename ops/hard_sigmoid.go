package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// HardSigmoid: Y = max(0, min(1, alpha * X + beta)), element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__HardSigmoid.html
func init() {
	register(&Op{
		Name:     "HardSigmoid",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, buildHardSigmoid),
	})
}

func gradHardSigmoid(c *GradContext) []*onnx.Value {
	return gradActivation("HardSigmoid", func(c *GradContext) (float32, float32) { return c.Attr.Float("alpha", 0.2), c.Attr.Float("beta", 0.5) })(c)
}

func buildHardSigmoid(b *BuildContext) (Kernel, error) {
	alpha, beta := b.Float("alpha", 0.2), b.Float("beta", 0.5)
	t := vec.Best()
	return b.need(0, floatKernels(func(d, x []float32) { t.HardSigmoid(d, x, alpha, beta) }, hardSigmoidLoop(float64(alpha), float64(beta))))
}

func hardSigmoidLoop[T float](alpha, beta T) loop[T, T] {
	return func(d, x []T) {
		zip(d, x, func(v T) T {
			v = v*alpha + beta
			if v < 0 {
				return 0
			}
			if v > 1 {
				return 1
			}
			return v
		})
	}
}
