package ops

import (
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.MaxPoolGrad: the gradient of MaxPool's X from that of Y: each element of dY goes
// to where the window's largest element is. X's elements are not read. This
// operator is private: gradients write it.
//
//	dY: T[n, c, o…]    Indices: int64[n, c, o…], MaxPool's    X: T[n, c, d…]    dX: T, X's shape
//
// T: float16, bfloat16 (both computed in float32), float32, float64. storage_order
// is MaxPool's.
//
// Spec: https://onnx.ai/onnx/operators/onnx__MaxPool.html
func maxPoolGradOp() *Op {
	return &Op{
		Domain: Private, Name: "MaxPoolGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(3), Out: N(1), Infer: func(c *InferContext) error {
			c.Ignore("storage_order")
			c.Out[0] = c.In(2)
			c.Out[0].DType = c.In(0).DType
			return nil
		}, Build: func(b *BuildContext) (Kernel, error) {
			columns := b.Bool("storage_order", false)
			f32 := maxPoolGradKernel[float32](columns)
			half := throughFloat32(f32, 0)
			return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: maxPoolGradKernel[float64](columns), tensor.Float16: half, tensor.BFloat16: half})
		}}},
	}
}

func maxPoolGradKernel[T conv.Float](columns bool) Kernel {
	return func(c *Call) error {
		dy, index, x := c.T(0), c.T(1), c.T(2)
		xs, ys := x.Shape(), dy.Shape()
		if len(xs) < 3 || len(ys) != len(xs) || ys[0] != xs[0] || ys[1] != xs[1] || !slices.Equal(index.Shape(), ys) || index.DType() != tensor.Int64 {
			return fmt.Errorf("dY has shape %v and Indices is %v for X of shape %v", ys, index, xs)
		}
		dx := tensor.Data[T](c.Output(0, dy.DType(), xs...))
		g, at := tensor.Data[T](dy), tensor.Data[int64](index)
		planes := xs[0] * xs[1]
		if planes == 0 {
			return nil
		}
		in, out := len(dx)/planes, len(g)/planes
		if in == 0 && out > 0 {
			return fmt.Errorf("dY has shape %v for X of shape %v", ys, xs)
		}
		var bad atomic.Bool
		c.P.For(planes, max(1, (1<<15)/max(1, in+4*out)), func(lo, hi int) {
			for p := lo; p < hi; p++ {
				plane := dx[p*in : (p+1)*in]
				clear(plane)
				for i, v := range g[p*out : (p+1)*out] {
					k := at[p*out+i] - int64(p*in)
					if uint64(k) >= uint64(in) {
						bad.Store(true)
						return
					}
					if columns {
						k = rowMajor(k, xs[2:])
					}
					plane[k] += v
				}
			}
		})
		if bad.Load() {
			return fmt.Errorf("Indices lie beyond the planes of X of shape %v", xs)
		}
		return nil
	}
}

// rowMajor returns the place of an element whose place is k where the first
// dimension is counted fastest.
func rowMajor(k int64, shape []int) int64 {
	step, r := int64(1), int64(0)
	for _, n := range shape {
		step *= int64(n)
	}
	for _, n := range shape {
		step /= int64(n)
		r += k % int64(n) * step
		k /= int64(n)
	}
	return r
}
