package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
)

// GlobalAveragePool: Y[n,c] is the mean of the plane X[n,c].
//
//	X: T[n, c, d…]    Y: T[n, c, 1…]
//
// T: float16, bfloat16, float32, float64; sums in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__GlobalAveragePool.html
func init() {
	register(&Op{
		Name:     "GlobalAveragePool",
		Numerics: Rounding,
		Versions: []Version{
			// 22 added bfloat16.
			{Since: 1, In: N(1), Out: N(1), Infer: inferGlobalPool, Build: func(b *BuildContext) (Kernel, error) {
				return buildGlobalPool(b, mean[float32], mean[float64])
			}},
		},
	})
}

func mean[T conv.Float](x []T) T {
	n := float64(len(x))
	var s0, s1, s2, s3 float64
	for len(x) >= 4 {
		s0 += float64(x[0])
		s1 += float64(x[1])
		s2 += float64(x[2])
		s3 += float64(x[3])
		x = x[4:]
	}
	for _, v := range x {
		s0 += float64(v)
	}
	return T((s0 + s1 + s2 + s3) / n)
}

// gradGlobalAveragePool: every element of a plane gets dY divided by their number.
func gradGlobalAveragePool(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.Expanded(c.Over(c.DOut[0], c.ratio(c.X(0), c.Y(0))), c.X(0))}
}
