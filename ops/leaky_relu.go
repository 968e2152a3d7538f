package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// LeakyRelu: Y = X where X >= 0, else alpha * X, element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LeakyRelu.html
func init() {
	register(&Op{
		Name:     "LeakyRelu",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, buildLeakyRelu),
	})
}

func gradLeakyRelu(c *GradContext) []*onnx.Value {
	return gradActivation("LeakyRelu", alphaOnly("alpha", 0.01))(c)
}

func buildLeakyRelu(b *BuildContext) (Kernel, error) {
	alpha := b.Float("alpha", 0.01)
	t := vec.Best()
	return b.need(0, floatKernels(func(d, x []float32) { t.LeakyRelu(d, x, alpha) }, leakyReluLoop(float64(alpha))))
}

func leakyReluLoop[T float](alpha T) loop[T, T] {
	return func(d, x []T) {
		zip(d, x, func(v T) T {
			if v < 0 {
				return v * alpha
			}
			return v
		})
	}
}
