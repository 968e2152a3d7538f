package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ReduceMean: reduced = Σ data / n over the axes, n elements each.
//
//	data: T[...]    axes: int64[k], since 18 (an attribute before)    reduced: T, data's shape with
//	the reduced dimensions as 1 (keepdims) or left out
//
// Without axes all dimensions are reduced, or none with noop_with_empty_axes.
// The mean of no floats is NaN, that of no integers an error. Floats are added in float64; means of
// integers are rounded towards 0.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ReduceMean.html
func init() {
	register(&Op{Name: "ReduceMean", Numerics: Rounding, Versions: reduceVersions(18, buildReduceMean, nil)})
}

func buildReduceMean(b *BuildContext, p reduceParams) (Kernel, error) {
	return b.dispatch(0, reduceFloats(
		reduceKernel(p, vectorSum(reduceAverage[float64, float32], averageAll)),
		reduceKernel(p, vectorSum64(reduceAverage[float64, float64])),
	).
		with(tensor.Int32, reduceMeanInts(p, reduceSum(reduceAverage[int64, int32]))).
		with(tensor.Int64, reduceMeanInts(p, reduceSum(reduceAverage[int64, int64]))).
		with(tensor.Uint32, reduceMeanInts(p, reduceSum(reduceAverage[uint64, uint32]))).
		with(tensor.Uint64, reduceMeanInts(p, reduceSum(reduceAverage[uint64, uint64]))))
}

func reduceAverage[A, T reduceReal](a A, n int) T {
	if n == 0 && T(1)/T(2) == 0 {
		return 0
	}
	return T(a / A(n))
}

// averageAll is reduceAverage of sums of n elements.
func averageAll(t *vec.Table, y []float32, n int) { t.Arith[vec.Div].VS(y, y, float32(n)) }

func reduceMeanInts[T, A reduceReal](p reduceParams, r reducer[T, A]) Kernel {
	k := reduceKernel(p, r)
	return func(c *Call) error {
		if err := k(c); err != nil {
			return err
		}
		if y, ok := c.Out[0].(*tensor.Tensor); ok && y.Len() > 0 && c.T(0).Len() == 0 {
			return fmt.Errorf("data has shape %v: integers have no mean of no elements", c.T(0).Shape())
		}
		return nil
	}
}

// gradReduceMean: the gradient of a mean goes to all n elements of its set, 1/n
// of it to each. n is the quotient of the sizes of data and reduced.
func gradReduceMean(c *GradContext) []*onnx.Value {
	x, d := c.X(0), c.unreduced(c.DOut[0])
	size := func(v *onnx.Value) *onnx.Value {
		return c.Op("Cast", onnx.NewAttrs("to", int(c.DType())), c.Op("Size", nil, v))
	}
	return []*onnx.Value{c.Expanded(c.Over(c.Times(d, size(d)), size(x)), x)}
}
