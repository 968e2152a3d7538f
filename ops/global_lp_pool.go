package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
)

// GlobalLpPool: Y[n,c] = (Σ |x|^p)^(1/p) over the plane X[n,c].
//
//	X: T[n, c, d…]    Y: T[n, c, 1…]
//
// T: float16, bfloat16, float32, float64; sums in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__GlobalLpPool.html
func init() {
	build := func(b *BuildContext, p float64) (Kernel, error) {
		if p <= 0 {
			b.Fail("p is %v, want more than 0", p)
		}
		return buildGlobalPool(b, func(x []float32) float32 { return conv.Norm(x, p) }, func(x []float64) float64 { return conv.Norm(x, p) })
	}
	register(&Op{
		Name:     "GlobalLpPool",
		Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferGlobalPool, Build: func(b *BuildContext) (Kernel, error) {
				return build(b, float64(b.Float("p", 2)))
			}},
			// 22 added bfloat16.
			{Since: 2, In: N(1), Out: N(1), Infer: inferGlobalPool, Build: func(b *BuildContext) (Kernel, error) {
				return build(b, float64(b.Int("p", 2)))
			}},
		},
	})
}

// gradGlobalLpPool: dX = dY·Y^(1-p)·sign(x)·|x|^(p-1).
func gradGlobalLpPool(c *GradContext) []*onnx.Value {
	f, slope := c.normSlope(c.DOut[0], c.X(0), c.Y(0), c.Attr.Int("p", 2))
	return []*onnx.Value{c.Times(f, slope)}
}
