package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.AveragePoolGrad: the gradient of AveragePool's X from that of Y. The
// attributes are those of AveragePool; with sum 1, windows are those of sums, which
// divide by nothing. X's elements are not read. This operator is private:
// gradients write it.
//
//	dY: T[n, c, o…]    X: T[n, c, d…]    dX: T, X's shape
//	dX[i] = Σ over the windows o that see i of dY[o] / count[o]
//
// T: float16, bfloat16 (both computed in float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__AveragePool.html
func averagePoolGradOp() *Op {
	return &Op{
		Domain: Private, Name: "AveragePoolGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(2), Out: N(1), Infer: func(c *InferContext) error {
			readAveragePoolGrad(&c.attrs)
			c.Out[0] = c.In(1)
			c.Out[0].DType = c.In(0).DType
			return nil
		}, Build: func(b *BuildContext) (Kernel, error) {
			p, sum := readAveragePoolGrad(&b.attrs)
			f32 := averagePoolGradKernel[float32](p, sum)
			half := throughFloat32(f32, 0)
			return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: averagePoolGradKernel[float64](p, sum), tensor.Float16: half, tensor.BFloat16: half})
		}}},
	}
}

func readAveragePoolGrad(a *attrs) (averageParams, bool) {
	p := averageParams{readWindow(a).withDilations(a), a.Bool("count_include_pad", false)}
	p.ceil = a.Bool("ceil_mode", false)
	return p, a.Bool("sum", false)
}

func averagePoolGradKernel[T conv.Float](p averageParams, sum bool) Kernel {
	return func(c *Call) error {
		dy, x := c.T(0), c.T(1)
		w, err := p.poolWindow(x.Shape())
		if err != nil {
			return err
		}
		if !slices.Equal(dy.Shape(), append([]int{x.Dim(0), x.Dim(1)}, w.Out...)) {
			return fmt.Errorf("dY has shape %v for X of shape %v", dy.Shape(), x.Shape())
		}
		dx := c.Output(0, dy.DType(), x.Shape()...)
		var counts [][]int
		if p.includePad && !sum {
			counts = w.padded()
		}
		conv.AveragePoolGrad(c.P, x.Dim(0)*x.Dim(1), &w.Window, tensor.Data[T](dy), tensor.Data[T](dx), counts, sum)
		return nil
	}
}

// ratio returns how many elements a has for each of b, as a scalar of a's type.
func (c *GradContext) ratio(a, b *onnx.Value) *onnx.Value {
	n := c.Op("Div", nil, c.Op("Size", nil, a), c.Op("Size", nil, b))
	return c.Op("CastLike", nil, n, a)
}

// normSlope returns the gradient of the p-norm y = (Σ |x|^p)^(1/p) divided by
// sign(x)·|x|^(p-1): d·y^(1-p), 0 where y is 0; and that divisor.
func (c *GradContext) normSlope(d, x, y *onnx.Value, p int) (factor, slope *onnx.Value) {
	sign := c.Op("Sign", nil, x)
	zero := c.Op("Equal", nil, y, c.Scalar(0))
	switch p {
	case 1:
		return d, sign
	case 2:
		return c.Op("Where", nil, zero, c.Scalar(0), c.Over(d, y)), x
	}
	factor = c.Op("Where", nil, zero, c.Scalar(0), c.Times(d, c.Op("Pow", nil, y, c.Scalar(float64(1-p)))))
	return factor, c.Times(sign, c.Op("Pow", nil, c.Op("Abs", nil, x), c.Scalar(float64(p-1))))
}
