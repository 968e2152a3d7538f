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

// withLogSumExpLines adds loops that make exponentials by vectors: of many short lines at once, of long ones and of columns.
func withLogSumExpLines[T float](r reducer[T, reduceLSE]) reducer[T, reduceLSE] {
	exp := vec.Best().Exp64
	row := r.row
	r.row = func(a reduceLSE, x []T) reduceLSE {
		if len(x) == 0 {
			return a
		}
		m := float64(maxOf(x))
		if m-m != 0 {
			return row(a, x)
		}
		buf, pool := borrow[lseBuffers]()
		defer pool.Put(buf)
		s := 0.0
		for len(x) > 0 {
			e := buf.e[:min(len(x), len(buf.e))]
			for i, v := range x[:len(e)] {
				e[i] = float64(v) - m
			}
			exp(e, e)
			s += sumOf(e)
			x = x[len(e):]
		}
		return a.add(reduceLSE{m, s})
	}
	r.panel = func(a []reduceLSE, x []T, rows, stride int) {
		buf, pool := borrow[lseBuffers]()
		defer pool.Put(buf)
		n := len(a)
		most, sum, e := buf.most[:n], buf.sum[:n], buf.e[:n]
		for j, v := range x[:n] {
			most[j], sum[j] = float64(v), 0
		}
		for k := 1; k < rows; k++ {
			for j, v := range x[k*stride:][:n] {
				most[j] = max(most[j], float64(v))
			}
		}
		for k := range rows {
			for j, v := range x[k*stride:][:n] {
				e[j] = float64(v) - most[j]
			}
			exp(e, e)
			for j, v := range e {
				sum[j] += v
			}
		}
		for j, m := range most {
			switch {
			case m-m == 0:
				a[j] = a[j].add(reduceLSE{m, sum[j]})
			case !math.IsInf(m, -1): // infinity or NaN
				a[j] = a[j].add(reduceLSE{m, 1})
			}
		}
	}
	r.lines = func(y, x []T, n int) {
		buf, pool := borrow[[block]float64]()
		defer pool.Put(buf)
		for len(y) > 0 {
			k := min(block/n, len(y))
			e := buf[:k*n]
			for i := range k {
				line := x[i*n : (i+1)*n]
				m := maxOf(line)
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
				y[i] = T(float64(m) + math.Log(sumOf(e[i*n:(i+1)*n])))
			}
			y, x = y[k:], x[k*n:]
		}
	}
	return r
}

// lseBuffers is the working memory of withLogSumExpLines.
type lseBuffers struct{ most, sum, e [reduceCols]float64 }

// gradReduceLogSumExp: dX = dY·e^(X - Y).
func gradReduceLogSumExp(c *GradContext) []*onnx.Value {
	p := c.Op("Exp", nil, c.Minus(c.X(0), c.unreduced(c.Y(0))))
	return []*onnx.Value{c.Times(p, c.unreduced(c.DOut[0]))}
}
