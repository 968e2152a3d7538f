package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Conv: Y[n,m,o] = B[m] + Σ c,k X[n, g·C/group+c, o·strides+k·dilations-pads] · W[m,c,k]
// with g the group of m: a convolution without turning the kernel round, over
// any number of spatial dimensions.
//
//	X: T[n, c, d…]    W: T[m, c/group, k…]    B: T[m], optional    Y: T[n, m, o…]
//	o = floor((d + pads - dilations·(k-1) - 1) / strides) + 1, or by auto_pad ceil(d / strides)
//
// T: float16, bfloat16 (both computed in float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Conv.html
func init() {
	register(&Op{
		Name:     "Conv",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{
			// 11 says what the defaults are, 22 added bfloat16.
			{Since: 1, In: Arity{2, 3}, Out: N(1), Infer: inferConv, Build: func(b *BuildContext) (Kernel, error) {
				return buildConv(b, readConv(&b.attrs))
			}},
		},
	})
}

func gradConvOp(c *GradContext) []*onnx.Value {
	return gradConv(false)(c)
}

type convParams struct {
	windowParams
	group int
	act   activation
}

func readConv(a *attrs) convParams {
	p := convParams{windowParams: readWindow(a).withDilations(a), group: a.Int("group", 1)}
	if p.group < 1 || p.group > math.MaxInt32 {
		a.Fail("group is %d, want at least 1", p.group)
		p.group = 1
	}
	return p
}

func inferConv(c *InferContext) error { return inferConvAs(c, readConv(&c.attrs)) }

func inferConvAs(c *InferContext, p convParams) error {
	x, w := c.In(0), c.In(1)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked && !w.Ranked || c.err != nil {
		return nil
	}
	d := max(len(x.Dims), len(w.Dims)) - 2
	if d < 1 || x.Ranked && w.Ranked && len(x.Dims) != len(w.Dims) {
		return fmt.Errorf("X is %v and W is %v, want [n c d…] and [m c/group k…]", x, w)
	}
	dims := make([]onnx.Dim, d+2)
	in := make([]onnx.Dim, d)
	if x.Ranked {
		dims[0], in = x.Dims[0], x.Dims[2:]
	}
	if w.Ranked {
		dims[1] = w.Dims[0]
	}
	k, err := p.kernelDims(w, d)
	if err != nil {
		return err
	}
	out, err := p.infer(in, k)
	if err != nil {
		return err
	}
	copy(dims[2:], out)
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	return nil
}

func buildConv(b *BuildContext, p convParams) (Kernel, error) {
	f32 := convKernel[float32](p)
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: convKernel[float64](p), tensor.Float16: half, tensor.BFloat16: half})
}

func convKernel[T conv.Float](p convParams) Kernel {
	d := tensor.DTypeOf[T]()
	act := activationFor[T](p.act)
	return func(c *Call) error {
		x, w, bias := c.T(0), c.T(1), c.T(2)
		win, err := p.convWindow(c, x, w)
		if err != nil {
			return err
		}
		m := w.Dim(0)
		a := conv.Args[T]{N: x.Dim(0), C: x.Dim(1), M: m, Group: p.group, Window: win.Window, Act: act}
		if w.DType() != d || bias != nil && bias.DType() != d {
			return fmt.Errorf("X is %v, W is %v, want the same", x, w)
		}
		if bias != nil {
			if bias.Rank() != 1 || bias.Len() != m {
				return fmt.Errorf("B has shape %v, want [%d]", bias.Shape(), m)
			}
			a.B = tensor.Data[T](bias)
		}
		shape := lastFirst(c, a.N, m, win.Out)
		y := c.Output(0, d, shape...)
		a.X, a.W, a.Y = tensor.Data[T](x), tensor.Data[T](w), tensor.Data[T](y)
		if z := c.T(3); z != nil { // FusedConv's summand
			if z.DType() != d || !slices.Equal(z.Shape(), shape) {
				return fmt.Errorf("Z is %v, want %v", z, y)
			}
			copy(a.Y, tensor.Data[T](z))
			a.Sum = true
		}
		conv.Run(c.P, &a)
		return nil
	}
}

// convWindow checks the shapes of X and W.
func (p *convParams) convWindow(c *Call, x, w *tensor.Tensor) (window, error) {
	xs, ws := x.Shape(), w.Shape()
	if err := p.checkShapes(xs, ws); err != nil {
		return window{}, err
	}
	return p.keptOver(c, xs[2:], ws[2:])
}

// convShapes is convWindow for shapes, outside of a call.
func (p *convParams) convShapes(xs, ws []int) (window, error) {
	if err := p.checkShapes(xs, ws); err != nil {
		return window{}, err
	}
	return p.over(xs[2:], ws[2:])
}

func (p *convParams) checkShapes(xs, ws []int) error {
	if len(xs) < 3 || len(ws) != len(xs) {
		return fmt.Errorf("X has shape %v and W has shape %v, want [n c d…] and [m c/group k…]", xs, ws)
	}
	if p.kernel != nil && !slices.Equal(p.kernel, ws[2:]) {
		return fmt.Errorf("kernel_shape is %v, W has shape %v", p.kernel, ws)
	}
	if xs[1]%p.group != 0 || xs[1]/p.group != ws[1] || ws[0]%p.group != 0 {
		return fmt.Errorf("X has shape %v and W has shape %v, want channels in %d groups", xs, ws, p.group)
	}
	return nil
}
