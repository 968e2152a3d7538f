package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Selu: Y = gamma * X where X > 0, else gamma * alpha * (e^X - 1), element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Selu.html
func init() {
	register(&Op{
		Name:     "Selu",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildSelu(1.6732, 1.0507)},
			// 6 gave the defaults more digits.
			{Since: 6, In: N(1), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildSelu(1.67326319217681884765625, 1.05070102214813232421875)},
		},
	})
}

func gradSelu(c *GradContext) []*onnx.Value {
	return gradActivation("Selu", func(c *GradContext) (float32, float32) {
		return c.Attr.Float("alpha", 1.67326319217681884765625), c.Attr.Float("gamma", 1.05070102214813232421875)
	})(c)
}

func buildSelu(alpha, gamma float32) func(b *BuildContext) (Kernel, error) {
	return func(b *BuildContext) (Kernel, error) {
		alpha, gamma := b.Float("alpha", alpha), b.Float("gamma", gamma)
		b.Ignore("consumed_inputs")
		t := vec.Best()
		f := elu64(float64(alpha))
		return b.need(0, floatKernels(
			func(d, x []float32) {
				t.Elu(d, x, alpha)
				t.MulScalar(d, d, gamma)
			},
			mapLoop(func(x float64) float64 { return float64(gamma) * f(x) })))
	}
}
