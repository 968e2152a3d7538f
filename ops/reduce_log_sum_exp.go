package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
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
		reduceKernel(p, withLogSumExpLines(reduceExp(reduceLogOf[float32]))),
		reduceKernel(p, withLogSumExpLines(reduceExp(reduceLogOf[float64]))),
	).
		with(tensor.Int32, reduceKernel(p, reduceExp(reduceLogOf[int32]))).
		with(tensor.Int64, reduceKernel(p, reduceExp(reduceLogOf[int64]))).
		with(tensor.Uint32, reduceKernel(p, reduceExp(reduceLogOf[uint32]))).
		with(tensor.Uint64, reduceKernel(p, reduceExp(reduceLogOf[uint64]))))
}

func reduceLogOf[T reduceReal](a reduceLSE, _ int) T { return T(a.log()) }

// withLogSumExpLines adds a loop that makes the exponentials of many short lines at once.
func withLogSumExpLines[T float](r reducer[T, reduceLSE]) reducer[T, reduceLSE] {
	exp := vec.Best().Exp64
	r.lines = func(y, x []T, n int) {
		buf, pool := borrow[[block]float64]()
		defer pool.Put(buf)
		for len(y) > 0 {
			k := min(block/n, len(y))
			e := buf[:k*n]
			for i := range k {
				line := x[i*n : (i+1)*n]
				m := line[0]
				for _, v := range line[1:] {
					m = max(m, v)
				}
				y[i] = m
				if shift := float64(m); shift-shift == 0 {
					for j, v := range line {
						e[i*n+j] = float64(v) - shift
					}
				}
			}
			exp(e, e)
			for i, m := range y[:k] {
				if m-m != 0 { // infinities and NaN are the result
					continue
				}
				sum := 0.0
				for _, v := range e[i*n : (i+1)*n] {
					sum += v
				}
				y[i] = T(float64(m) + math.Log(sum))
			}
			y, x = y[k:], x[k*n:]
		}
	}
	return r
}

// gradReduceLogSumExp: dX = dY·e^(X - Y).
func gradReduceLogSumExp(c *GradContext) []*onnx.Value {
	p := c.Op("Exp", nil, c.Minus(c.X(0), c.unreduced(c.Y(0))))
	return []*onnx.Value{c.Times(p, c.unreduced(c.DOut[0]))}
}
