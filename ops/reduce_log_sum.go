package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReduceLogSum: reduced = log(Σ data) over the axes.
//
//	data: T[...]    axes: int64[k], since 18 (an attribute before)    reduced: T, data's shape with
//	the reduced dimensions as 1 (keepdims) or left out
//
// Without axes all dimensions are reduced, or none with noop_with_empty_axes.
// The result of no elements is -∞. Sums are made in float64; results of integers, which 28 no longer
// has, are cut to integers.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ReduceLogSum.html
func init() {
	register(&Op{Name: "ReduceLogSum", Numerics: Rounding, Versions: reduceVersions(18, buildReduceLogSum, nil)})
}

func buildReduceLogSum(b *BuildContext, p reduceParams) (Kernel, error) {
	return b.dispatch(0, reduceFloats(
		reduceKernel(p, vectorSum(reduceLog[float64, float32], func(t *vec.Table, y []float32, _ int) { t.Log(y, y) })),
		reduceKernel(p, reduceSum(reduceLog[float64, float64])),
	).
		with(tensor.Int32, reduceKernel(p, reduceSum(reduceLog[int64, int32]))).
		with(tensor.Int64, reduceKernel(p, reduceSum(reduceLog[int64, int64]))).
		with(tensor.Uint32, reduceKernel(p, reduceSum(reduceLog[uint64, uint32]))).
		with(tensor.Uint64, reduceKernel(p, reduceSum(reduceLog[uint64, uint64]))))
}

func reduceLog[A, T reduceReal](a A, _ int) T { return T(math.Log(float64(a))) }

// gradReduceLogSum: dX = dY·e^-Y.
func gradReduceLogSum(c *GradContext) []*onnx.Value {
	d := c.Times(c.DOut[0], c.Op("Exp", nil, c.Negated(c.Y(0))))
	return []*onnx.Value{c.Expanded(c.unreduced(d), c.X(0))}
}
