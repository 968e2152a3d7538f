package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// x.MaxUnpoolGrad: the gradient of MaxUnpool's X: the element of dY where each went; of
// several that went to one place, only the last, which the output has, gets it.
// The attributes and inputs 1 and 2 are those of MaxUnpool.
// This operator is private: the gradient of MaxUnpool writes it.
//
//	dY: T[n, c, o…]    I: int64[n, c, d…]    output_shape: int64[rank], optional    dX: T[n, c, d…]
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__MaxUnpool.html
func maxUnpoolGradOp() *Op {
	return &Op{
		Domain: Private, Name: "MaxUnpoolGrad",
		Versions: []Version{{Since: 1, In: Arity{2, 3}, Out: N(1), Infer: func(c *InferContext) error {
			readMaxUnpool(&c.attrs)
			c.Out[0] = c.In(1)
			c.Out[0].DType = c.In(0).DType
			return nil
		}, Build: func(b *BuildContext) (Kernel, error) {
			p := readMaxUnpool(&b.attrs)
			return b.dispatch(0, byType{
				tensor.Float32: maxUnpoolGradKernel[float32](p), tensor.Float64: maxUnpoolGradKernel[float64](p),
				tensor.Float16: maxUnpoolGradKernel[tensor.F16](p), tensor.BFloat16: maxUnpoolGradKernel[tensor.BF16](p),
			})
		}}},
	}
}

func maxUnpoolGradKernel[T tensor.Element](p windowParams) Kernel {
	return func(c *Call) error {
		dy, index := c.T(0), c.T(1)
		u, err := readUnpooling(c, p, index)
		if err != nil {
			return err
		}
		if !slices.Equal(dy.Shape(), u.shape) {
			return fmt.Errorf("dY has shape %v, want %v", dy.Shape(), u.shape)
		}
		dx, from := tensor.Data[T](c.Output(0, dy.DType(), index.Shape()...)), tensor.Data[T](dy)
		clear(dx)
		taken := make([]bool, len(from))
		for i := len(dx) - 1; i >= 0; i-- {
			k, err := u.place(i)
			if err != nil {
				return err
			}
			if !taken[k] {
				taken[k], dx[i] = true, from[k]
			}
		}
		return nil
	}
}
