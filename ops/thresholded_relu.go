package ops

import "github.com/gneiss-run/gneiss/onnx"

// ThresholdedRelu: Y = X where X > alpha, else 0, element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ThresholdedRelu.html
func init() {
	register(&Op{
		Name:     "ThresholdedRelu",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(10, buildThresholdedRelu),
	})
}

func gradThresholdedRelu(c *GradContext) []*onnx.Value {
	return gradActivation("ThresholdedRelu", alphaOnly("alpha", 1))(c)
}

func buildThresholdedRelu(b *BuildContext) (Kernel, error) {
	alpha := b.Float("alpha", 1)
	return b.need(0, floatKernels(thresholdedReluLoop(alpha), thresholdedReluLoop(float64(alpha))))
}

func thresholdedReluLoop[T float](alpha T) loop[T, T] {
	return func(d, x []T) {
		zip(d, x, func(v T) T {
			if v > alpha { // not so for NaN
				return v
			}
			return 0
		})
	}
}
