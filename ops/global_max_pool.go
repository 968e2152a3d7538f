package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// GlobalMaxPool: Y[n,c] is the largest element of the plane X[n,c], NaN if it
// has one.
//
//	X: T[n, c, d…]    Y: T[n, c, 1…]
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__GlobalMaxPool.html
func init() {
	register(&Op{
		Name: "GlobalMaxPool",
		Versions: []Version{
			// 22 added bfloat16.
			{Since: 1, In: N(1), Out: N(1), Infer: inferGlobalPool, Build: func(b *BuildContext) (Kernel, error) {
				return buildGlobalPool(b, vec.Best().Largest, largest64())
			}},
		},
	})
}

func largest64() func(x []float64) float64 {
	row := reduceLargest(0.0).row
	return func(x []float64) float64 { return row(x[0], x[1:]) }
}

// gradGlobalMaxPool: the elements of a plane that equal the largest share dY.
func gradGlobalMaxPool(c *GradContext) []*onnx.Value {
	x, d := c.X(0), c.DOut[0]
	largest := c.Op("CastLike", nil, c.Op("Equal", nil, x, c.Y(0)), d)
	return []*onnx.Value{c.Times(largest, c.Over(d, c.SumTo(largest, d)))}
}
