package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.DeformConvGrad: the gradients of DeformConv's X, W, offset and mask from that of Y.
// The attributes are those of DeformConv. With col the samples, weighted by mask, and
// dcol = Wᵀ·dY: dX scatters dcol·mask to the elements around each sample with their weights,
// doffset multiplies it with the slopes of the interpolation, dmask with what it gives,
// dW = dY·colᵀ. This operator is private: the gradient of DeformConv writes it.
//
//	X: T[n, c, d…]    W: T[m, c/group, k…]    offset, mask (optional): T, as of DeformConv    dY: T[n, m, o…]
//	dX, dW, doffset, dmask (each optional): T, of their shapes
//
// T: float16, bfloat16 (both computed in float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__DeformConv.html; Dai et al., Deformable
// Convolutional Networks, 2017, section 2.1.
func deformConvGradOp() *Op {
	return &Op{
		Domain: Private, Name: "DeformConvGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(5), Out: Arity{1, 4}, Infer: func(c *InferContext) error {
			for i := range c.Out {
				c.Out[i] = c.In(i)
			}
			return nil
		}, Build: func(b *BuildContext) (Kernel, error) {
			p := readDeform(&b.attrs)
			wants := [4]bool{b.Wants(0), b.Wants(1), b.Wants(2), b.Wants(3)}
			f32 := deformGradKernel[float32](p, wants)
			half := throughFloat32(f32, 0)
			return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: deformGradKernel[float64](p, wants), tensor.Float16: half, tensor.BFloat16: half})
		}}},
	}
}

func deformGradKernel[T conv.Float](p deformParams, wants [4]bool) Kernel {
	return func(c *Call) error {
		x, w, dy := c.T(0), c.T(1), c.T(4)
		a, offset, mask, err := deformArgs[T](c, p, x, w, c.T(2), c.T(3))
		if err != nil {
			return err
		}
		shape := append([]int{x.Dim(0), w.Dim(0)}, a.Out...)
		if dy == nil || dy.DType() != x.DType() || !slices.Equal(dy.Shape(), shape) {
			return fmt.Errorf("dY is %v, want %v %v", dy, x.DType(), shape)
		}
		a.Y = tensor.Data[T](dy)
		var to conv.DeformGrads[T]
		for i, v := range []*[]T{&to.X, &to.W, &to.Offset, &to.Mask} {
			if t := c.T(i); wants[i] && t != nil {
				*v = tensor.Data[T](c.Output(i, t.DType(), t.Shape()...))
			}
		}
		conv.DeformGrad(c.P, &a, offset, mask, p.groups, to)
		return c.Ctx().Err()
	}
}
