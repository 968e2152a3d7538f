package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/tensor"
)

// Min: min = the smallest of the inputs, element-wise with broadcasting; NaN if one of them is.
//
//	data_0, data_1, …: T[...]    min: T[...], of the shape that they broadcast to
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Min.html
func init() {
	register(&Op{
		Name:        "Min",
		Commutative: true,
		Numerics:    Exact,
		// 8 brought broadcasting; other versions only widen the types.
		Versions: variadicVersions(vecTable(minTable)),
	})
}

func minTable(t *vec.Table) byType {
	return merge(integerPairs(
		extremes(tensor.Int8, false), extremes(tensor.Int16, false),
		variadicKernel(withRows(minPair[int32](), &t.Int32[vec.Min]), nil), variadicKernel(minPair[int64](), nil),
		extremes(tensor.Uint8, false), extremes(tensor.Uint16, false),
		variadicKernel(minPair[uint32](), nil), variadicKernel(minPair[uint64](), nil)), halfThrough(byType{
		tensor.Float32: variadicKernel(vectorPair(t, vec.Min), nil),
		tensor.Float64: variadicKernel(withRows(minPair[float64](), &t.Float64[vec.Min]), nil),
	}))
}
