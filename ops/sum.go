package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Sum: sum = the sum of the inputs, element-wise with broadcasting.
//
//	data_0, data_1, …: T[...]    sum: T[...], of the shape that they broadcast to
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Sum.html
func init() {
	register(&Op{
		Name:        "Sum",
		Commutative: true,
		Numerics:    Rounding,
		// 8 brought broadcasting; other versions only widen the types.
		Versions: variadicVersions(vecTable(func(t *vec.Table) byType {
			return halfThrough(byType{
				tensor.Float32: variadicKernel(addFloat32(t), nil),
				tensor.Float64: variadicKernel(addPair[float64](), nil),
			})
		})),
	})
}

func gradSum(c *GradContext) []*onnx.Value { return c.sumToEach(c.DOut[0]) }
