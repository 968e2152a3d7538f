package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/tensor"
)

// Max: max = the largest of the inputs, element-wise with broadcasting; NaN if one of them is.
//
//	data_0, data_1, …: T[...]    max: T[...], of the shape that they broadcast to
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Max.html
func init() {
	register(&Op{
		Name:        "Max",
		Commutative: true,
		Numerics:    Exact,
		// 8 brought broadcasting; other versions only widen the types.
		Versions: variadicVersions(vecTable(maxTable)),
	})
}

func maxTable(t *vec.Table) byType {
	return merge(integerPairs(
		extremes(tensor.Int8, true), extremes(tensor.Int16, true),
		variadicKernel(withRows(maxPair[int32](), &t.Int32[vec.Max]), nil), variadicKernel(maxPair[int64](), nil),
		extremes(tensor.Uint8, true), extremes(tensor.Uint16, true),
		variadicKernel(maxPair[uint32](), nil), variadicKernel(maxPair[uint64](), nil)), halfThrough(byType{
		tensor.Float32: variadicKernel(vectorPair(t, vec.Max), nil),
		tensor.Float64: variadicKernel(withRows(maxPair[float64](), &t.Float64[vec.Max]), nil),
	}))
}
