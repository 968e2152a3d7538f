package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Mean: mean = the mean of the inputs, element-wise with broadcasting.
//
//	data_0, data_1, …: T[...]    mean: T[...], of the shape that they broadcast to
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Mean.html
func init() {
	register(&Op{
		Name:        "Mean",
		Commutative: true,
		Numerics:    Rounding,
		// 8 brought broadcasting; other versions only widen the types.
		Versions: variadicVersions(vecTable(func(t *vec.Table) byType {
			return halfThrough(byType{
				tensor.Float32: variadicKernel(addFloat32(t), func(x []float32, n int) { t.Arith[vec.Div].VS(x, x, float32(n)) }),
				tensor.Float64: variadicKernel(withRows(addPair[float64](), &t.Float64[vec.Add]), divideBy),
			})
		})),
	})
}

func divideBy(x []float64, n int) {
	for i := range x {
		x[i] /= float64(n)
	}
}

func gradMean(c *GradContext) []*onnx.Value {
	n := len(c.Node().In)
	return c.sumToEach(c.Scaled(c.DOut[0], 1/float64(n)))
}
