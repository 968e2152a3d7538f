package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
)

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
	return b.need(0, floatKernels(func(d, x []float32) {
		zip(d, x, func(v float32) float32 {
			bits := math.Float32bits(v)
			if !(v > alpha) { // so for NaN
				bits = 0
			}
			return math.Float32frombits(bits)
		})
	}, func(d, x []float64) {
		alpha := float64(alpha)
		zip(d, x, func(v float64) float64 {
			bits := math.Float64bits(v)
			if !(v > alpha) {
				bits = 0
			}
			return math.Float64frombits(bits)
		})
	}))
}
