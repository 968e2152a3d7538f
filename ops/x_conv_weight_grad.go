package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.ConvWeightGrad: the gradient of Conv's W from that of Y; with the attribute
// transposed 1, that of ConvTranspose. The other attributes are those of the
// operator; W's elements are not read. This operator is private: gradients write it.
//
//	dY: T[n, m, o…]    X: T[n, c, d…]    W: T, the operator's    dW: T, W's shape
//	dW[m,c,k] = Σ n,o dY[n,m,o] · X[n, g·C/group+c, o·stride + k·dilation - pad]
//
// T: float16, bfloat16 (both computed in float32), float32, float64.
//
// Spec: https://arxiv.org/abs/1603.07285 (Dumoulin and Visin, A guide to convolution
// arithmetic for deep learning, 2016, chapter 4).
func convWeightGradOp() *Op {
	return &Op{
		Domain: Private, Name: "ConvWeightGrad", Numerics: Rounding, Flush: true,
		Versions: []Version{{Since: 1, In: N(3), Out: N(1), Infer: inferConvGrad, Build: func(b *BuildContext) (Kernel, error) {
			p := readConvGrad(&b.attrs)
			f32 := convWeightGradKernel[float32](p)
			half := throughFloat32(f32, 0)
			return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: convWeightGradKernel[float64](p), tensor.Float16: half, tensor.BFloat16: half})
		}}},
	}
}

func convWeightGradKernel[T conv.Float](p convGradParams) Kernel {
	d := tensor.DTypeOf[T]()
	return func(c *Call) error {
		dy, x, w := c.T(0), c.T(1), c.T(2)
		if dy.DType() != d || x.DType() != d {
			return fmt.Errorf("dY is %v and X is %v, want the same element type", dy, x)
		}
		win, s, err := p.args(x.Shape(), w.Shape(), dy.Shape())
		if err != nil {
			return err
		}
		a := conv.Args[T]{N: s[0], C: s[1], M: s[2], Group: s[3], Window: win, X: tensor.Data[T](x), Y: tensor.Data[T](dy)}
		if p.transposed { // as a convolution, dY is what it reads and X what it writes
			a.X, a.Y = a.Y, a.X
		}
		a.W = tensor.Data[T](c.Output(0, d, w.Shape()...))
		conv.WeightGrad(c.P, &a)
		return nil
	}
}
