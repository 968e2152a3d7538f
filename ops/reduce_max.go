package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReduceMax: reduced = max data over the axes.
//
//	data: T[...]    axes: int64[k], since 18 (an attribute before)    reduced: T, data's shape with
//	the reduced dimensions as 1 (keepdims) or left out
//
// Without axes all dimensions are reduced, or none with noop_with_empty_axes.
// The largest of no elements is -∞, for integers the smallest value of the type, for bool false.
// A NaN among the elements is the result. bool came with 20: false < true.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ReduceMax.html
func init() {
	register(&Op{Name: "ReduceMax", Versions: reduceVersions(18, buildReduceMax, onnx.Dim.Max)})
}

func buildReduceMax(b *BuildContext, p reduceParams) (Kernel, error) {
	return b.dispatch(0, reduceFloats(
		reduceKernel(p, vectorExtreme(reduceLargest(float32(math.Inf(-1))), vec.Max)),
		reduceKernel(p, vectorExtreme64(reduceLargest(math.Inf(-1)), vec.Max)),
	).
		with(tensor.Int8, reduceKernel(p, reduceLargest[int8](math.MinInt8))).
		with(tensor.Uint8, reduceKernel(p, reduceLargest[uint8](0))).
		with(tensor.Int32, reduceKernel(p, reduceLargest[int32](math.MinInt32))).
		with(tensor.Int64, reduceKernel(p, reduceLargest[int64](math.MinInt64))).
		with(tensor.Uint32, reduceKernel(p, reduceLargest[uint32](0))).
		with(tensor.Uint64, reduceKernel(p, reduceLargest[uint64](0))).
		with(tensor.Bool, reduceKernel(p, reduceBool(true))))
}

// gradReduceMax: the gradient of an extreme goes to the elements that are the
// result, in equal shares, as in PyTorch's amax and amin.
func gradReduceMax(c *GradContext) []*onnx.Value {
	y := c.unreduced(c.Y(0))
	at := c.Mask(c.Op("Equal", nil, c.X(0), y))
	return []*onnx.Value{c.Times(at, c.Over(c.unreduced(c.DOut[0]), c.SumTo(at, y)))}
}
