package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReduceMin: reduced = min data over the axes.
//
//	data: T[...]    axes: int64[k], since 18 (an attribute before)    reduced: T, data's shape with
//	the reduced dimensions as 1 (keepdims) or left out
//
// Without axes all dimensions are reduced, or none with noop_with_empty_axes.
// The smallest of no elements is +∞, for integers the largest value of the type, for bool true.
// A NaN among the elements is the result. bool came with 20: false < true.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ReduceMin.html
func init() {
	register(&Op{Name: "ReduceMin", Versions: reduceVersions(18, buildReduceMin, onnx.Dim.Min)})
}

func buildReduceMin(b *BuildContext, p reduceParams) (Kernel, error) {
	return b.dispatch(0, reduceFloats(
		reduceKernel(p, vectorExtreme(reduceSmallest(float32(math.Inf(1))), vec.Min)),
		reduceKernel(p, vectorExtreme64(reduceSmallest(math.Inf(1)), vec.Min)),
	).
		with(tensor.Int8, reduceKernel(p, reduceSmallest[int8](math.MaxInt8))).
		with(tensor.Uint8, reduceKernel(p, reduceSmallest[uint8](math.MaxUint8))).
		with(tensor.Int32, reduceKernel(p, reduceSmallest[int32](math.MaxInt32))).
		with(tensor.Int64, reduceKernel(p, reduceSmallest[int64](math.MaxInt64))).
		with(tensor.Uint32, reduceKernel(p, reduceSmallest[uint32](math.MaxUint32))).
		with(tensor.Uint64, reduceKernel(p, reduceSmallest[uint64](math.MaxUint64))).
		with(tensor.Bool, reduceKernel(p, reduceBool(false))))
}
