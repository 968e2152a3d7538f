package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReduceSum: reduced = Σ data over the axes.
//
//	data: T[...]    axes: int64[k], since 13 (an attribute before)    reduced: T, data's shape with
//	the reduced dimensions as 1 (keepdims) or left out
//
// Without axes all dimensions are reduced, or none with noop_with_empty_axes.
// The sum of no elements is 0. Floats are added in float64, integers wrap around.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ReduceSum.html
func init() {
	register(&Op{Name: "ReduceSum", Numerics: Rounding, Versions: reduceVersions(13, buildReduceSum, onnx.Dim.Add)})
}

func buildReduceSum(b *BuildContext, p reduceParams) (Kernel, error) {
	return b.dispatch(0, reduceFloats(
		reduceKernel(p, vectorSum(reduceDone[float64, float32], sumAll)),
		reduceKernel(p, vectorSum64(reduceDone[float64, float64])),
	).
		with(tensor.Int32, reduceKernel(p, reduceSum(reduceDone[int64, int32]))).
		with(tensor.Int64, reduceKernel(p, reduceSum(reduceDone[int64, int64]))).
		with(tensor.Uint32, reduceKernel(p, reduceSum(reduceDone[uint64, uint32]))).
		with(tensor.Uint64, reduceKernel(p, reduceSum(reduceDone[uint64, uint64]))))
}

// sumAll: sums are the results.
func sumAll(*vec.Table, []float32, int) {}

func gradReduceSum(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.Expanded(c.unreduced(c.DOut[0]), c.X(0))}
}
