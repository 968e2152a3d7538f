package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Elu: Y = X where X >= 0, else alpha * (e^X - 1), element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Elu.html
func init() {
	register(&Op{
		Name:     "Elu",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, buildElu),
	})
}

func gradElu(c *GradContext) []*onnx.Value {
	return gradActivation("Elu", alphaOnly("alpha", 1))(c)
}

func buildElu(b *BuildContext) (Kernel, error) {
	alpha := b.Float("alpha", 1)
	t := vec.Best()
	return b.need(0, floatKernels(
		func(d, x []float32) { t.Elu(d, x, alpha) },
		mapLoop(elu64(float64(alpha)))))
}
