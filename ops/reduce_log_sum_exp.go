package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReduceLogSumExp: reduced = log(Σ exp(data)) over the axes, with the largest element taken out
// of the sum so that it cannot overflow.
//
//	data: T[...]    axes: int64[k], since 18 (an attribute before)    reduced: T, data's shape with
//	the reduced dimensions as 1 (keepdims) or left out
//
// Without axes all dimensions are reduced, or none with noop_with_empty_axes.
// The result of no elements is -∞. Sums are made in float64; results of integers, which 28 no longer
// has, are cut to integers.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ReduceLogSumExp.html
func init() {
	register(&Op{Name: "ReduceLogSumExp", Numerics: Rounding, Versions: reduceVersions(18, buildReduceLogSumExp, nil)})
}

func buildReduceLogSumExp(b *BuildContext, p reduceParams) (Kernel, error) {
	return b.dispatch(0, reduceFloats(
		reduceKernel(p, reduceExp(reduceLogOf[float32])),
		reduceKernel(p, reduceExp(reduceLogOf[float64])),
	).
		with(tensor.Int32, reduceKernel(p, reduceExp(reduceLogOf[int32]))).
		with(tensor.Int64, reduceKernel(p, reduceExp(reduceLogOf[int64]))).
		with(tensor.Uint32, reduceKernel(p, reduceExp(reduceLogOf[uint32]))).
		with(tensor.Uint64, reduceKernel(p, reduceExp(reduceLogOf[uint64]))))
}

func reduceLogOf[T reduceReal](a reduceLSE, _ int) T { return T(a.log()) }

// gradReduceLogSumExp: dX = dY·e^(X - Y).
func gradReduceLogSumExp(c *GradContext) []*onnx.Value {
	p := c.Op("Exp", nil, c.Minus(c.X(0), c.unreduced(c.Y(0))))
	return []*onnx.Value{c.Times(p, c.unreduced(c.DOut[0]))}
}
