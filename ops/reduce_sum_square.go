package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReduceSumSquare: reduced = Σ data² over the axes.
//
//	data: T[...]    axes: int64[k], since 18 (an attribute before)    reduced: T, data's shape with
//	the reduced dimensions as 1 (keepdims) or left out
//
// Without axes all dimensions are reduced, or none with noop_with_empty_axes.
// The sum of no elements is 0. Floats are added in float64, integers wrap around.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ReduceSumSquare.html
func init() {
	register(&Op{Name: "ReduceSumSquare", Numerics: Rounding, Versions: reduceVersions(18, buildReduceSumSquare, nil)})
}

func buildReduceSumSquare(b *BuildContext, p reduceParams) (Kernel, error) {
	return b.dispatch(0, reduceFloats(
		reduceKernel(p, vectorSquares(reduceDone[float64, float32])),
		reduceKernel(p, reduceSquares(reduceDone[float64, float64])),
	).
		with(tensor.Int32, reduceKernel(p, reduceSquares(reduceDone[int64, int32]))).
		with(tensor.Int64, reduceKernel(p, reduceSquares(reduceDone[int64, int64]))).
		with(tensor.Uint32, reduceKernel(p, reduceSquares(reduceDone[uint64, uint32]))).
		with(tensor.Uint64, reduceKernel(p, reduceSquares(reduceDone[uint64, uint64]))))
}

// gradReduceSumSquare: dX = 2·X·dY.
func gradReduceSumSquare(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.Times(c.X(0), c.unreduced(c.Scaled(c.DOut[0], 2)))}
}
