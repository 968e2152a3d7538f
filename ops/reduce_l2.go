package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReduceL2: reduced = √(Σ data²) over the axes.
//
//	data: T[...]    axes: int64[k], since 18 (an attribute before)    reduced: T, data's shape with
//	the reduced dimensions as 1 (keepdims) or left out
//
// Without axes all dimensions are reduced, or none with noop_with_empty_axes.
// The norm of no elements is 0. Sums are made in float64; results of integers are cut to integers.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ReduceL2.html
func init() {
	register(&Op{Name: "ReduceL2", Numerics: Rounding, Versions: reduceVersions(18, buildReduceL2, nil)})
}

func buildReduceL2(b *BuildContext, p reduceParams) (Kernel, error) {
	return b.dispatch(0, reduceFloats(
		reduceKernel(p, vectorSquares(reduceRoot[float64, float32])),
		reduceKernel(p, reduceSquares(reduceRoot[float64, float64])),
	).
		with(tensor.Int32, reduceKernel(p, reduceSquares(reduceRoot[int64, int32]))).
		with(tensor.Int64, reduceKernel(p, reduceSquares(reduceRoot[int64, int64]))).
		with(tensor.Uint32, reduceKernel(p, reduceSquares(reduceRoot[uint64, uint32]))).
		with(tensor.Uint64, reduceKernel(p, reduceSquares(reduceRoot[uint64, uint64]))))
}

func reduceRoot[A, T reduceReal](a A, _ int) T { return T(math.Sqrt(float64(a))) }

// gradReduceL2: dX = X·dY/Y, 0 where Y is 0.
func gradReduceL2(c *GradContext) []*onnx.Value {
	y, zero := c.Y(0), c.Scalar(0)
	d := c.Op("Where", nil, c.Op("Equal", nil, y, zero), zero, c.Over(c.DOut[0], y))
	return []*onnx.Value{c.Times(c.X(0), c.unreduced(d))}
}
