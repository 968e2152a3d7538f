package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReduceL1: reduced = Σ |data| over the axes.
//
//	data: T[...]    axes: int64[k], since 18 (an attribute before)    reduced: T, data's shape with
//	the reduced dimensions as 1 (keepdims) or left out
//
// Without axes all dimensions are reduced, or none with noop_with_empty_axes.
// The sum of no elements is 0. Floats are added in float64, integers wrap around.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ReduceL1.html
func init() {
	register(&Op{Name: "ReduceL1", Numerics: Rounding, Versions: reduceVersions(18, buildReduceL1, nil)})
}

func buildReduceL1(b *BuildContext, p reduceParams) (Kernel, error) {
	return b.dispatch(0, reduceFloats(
		reduceKernel(p, vectorAbs(reduceDone[float64, float32])),
		reduceKernel(p, reduceAbs(reduceDone[float64, float64])),
	).
		with(tensor.Int32, reduceKernel(p, reduceAbs(reduceDone[int64, int32]))).
		with(tensor.Int64, reduceKernel(p, reduceAbs(reduceDone[int64, int64]))).
		with(tensor.Uint32, reduceKernel(p, reduceSum(reduceDone[uint64, uint32]))).
		with(tensor.Uint64, reduceKernel(p, reduceSum(reduceDone[uint64, uint64]))))
}

// gradReduceL1: dX = sign(X)·dY.
func gradReduceL1(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.Times(c.Op("Sign", nil, c.X(0)), c.unreduced(c.DOut[0]))}
}
