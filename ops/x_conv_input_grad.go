package ops

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/kernels/move"
	"github.com/gneiss-run/gneiss/internal/kernels/nhwc"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.ConvInputGrad: the gradient of Conv's X from that of Y; with the attribute
// transposed 1, that of ConvTranspose. The other attributes are those of the
// operator; X's elements are not read. This operator is private: gradients write it.
//
//	dY: T[n, m, o…]    W: T, the operator's    X: T[n, c, d…]    dX: T, X's shape
//	dX[n,c,i] = Σ m,o,k with o·stride + k·dilation - pad = i of dY[n,m,o] · W[m,c,k]
//
// T: float16, bfloat16 (both computed in float32), float32, float64.
//
// Spec: https://arxiv.org/abs/1603.07285 (Dumoulin and Visin, A guide to convolution
// arithmetic for deep learning, 2016, chapter 4).
func convInputGradOp() *Op {
	return &Op{
		Domain: Private, Name: "ConvInputGrad", Numerics: Rounding, Flush: true,
		Versions: []Version{{Since: 1, In: N(3), Out: N(1), Infer: inferConvGrad, Build: func(b *BuildContext) (Kernel, error) {
			p := readConvGrad(&b.attrs)
			f32 := convInputGradKernel[float32](p)
			half := throughFloat32(f32, 0)
			return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: convInputGradKernel[float64](p), tensor.Float16: half, tensor.BFloat16: half})
		}}},
	}
}

// convGradParams are the attributes of the gradients of convolutions.
type convGradParams struct {
	convTransposeParams
	transposed bool
}

func readConvGrad(a *attrs) convGradParams {
	p := convGradParams{transposed: a.Bool("transposed", false)}
	if p.transposed {
		p.convTransposeParams = readConvTranspose(a)
	} else {
		p.convParams = readConv(a)
	}
	return p
}

// inferConvGrad gives the output the type of input 2.
func inferConvGrad(c *InferContext) error {
	readConvGrad(&c.attrs)
	c.Out[0] = c.In(2)
	c.Out[0].DType = c.In(0).DType
	return nil
}

// args checks shapes of X, W and dY, and returns the sizes of the convolution
// that the operator is, or whose transpose it is.
func (p *convGradParams) args(x, w, dy []int) (conv.Window, [4]int, error) {
	if p.transposed {
		if len(x) < 3 || len(w) != len(x) || x[1] != w[0] || x[1]%p.group != 0 || p.kernel != nil && !slices.Equal(p.kernel, w[2:]) {
			return conv.Window{}, [4]int{}, fmt.Errorf("X has shape %v and W has shape %v, want [n c d…] and [c m/group k…] in %d groups", x, w, p.group)
		}
		win, err := p.over(x[2:], w[2:])
		sizes := [4]int{x[0], w[1] * p.group, x[1], p.group}
		if err == nil && !slices.Equal(dy, append([]int{x[0], sizes[1]}, win.In...)) {
			err = fmt.Errorf("dY has shape %v for X of shape %v and W of shape %v", dy, x, w)
		}
		return win, sizes, err
	}
	win, err := p.convShapes(x, w)
	if err == nil && !slices.Equal(dy, append([]int{x[0], w[0]}, win.Out...)) {
		err = fmt.Errorf("dY has shape %v for X of shape %v and W of shape %v", dy, x, w)
	}
	if err != nil {
		return conv.Window{}, [4]int{}, err
	}
	return win.Window, [4]int{x[0], x[1], w[0], p.group}, nil
}

func convInputGradKernel[T conv.Float](p convGradParams) Kernel {
	d := tensor.DTypeOf[T]()
	return func(c *Call) error {
		dy, w, x := c.T(0), c.T(1), c.T(2)
		if dy.DType() != d || w.DType() != d {
			return fmt.Errorf("dY is %v and W is %v, want the same element type", dy, w)
		}
		win, s, err := p.args(x.Shape(), w.Shape(), dy.Shape())
		if err != nil {
			return err
		}
		dx := c.Output(0, d, x.Shape()...)
		a := conv.Args[T]{N: s[0], C: s[2], M: s[1], Group: s[3], Window: win, X: tensor.Data[T](dy), W: tensor.Data[T](w), Y: tensor.Data[T](dx)}
		switch {
		case p.transposed:
			a.C, a.M = s[1], s[2]
			conv.Run(c.P, &a)
		case len(a.X) == 0 || len(a.W) == 0:
			clear(a.Y)
		case len(win.In) <= 3 && a.M/a.Group >= 4 && len(a.Y) > 0:
			transposedLast(c, &a)
		default:
			conv.Transposed(c.P, &a)
		}
		return nil
	}
}

// transposedLast is conv.Transposed by way of tensors with the channels last.
func transposedLast[T conv.Float](c *Call, a *conv.Args[T]) {
	in, out := 1, 1
	for i, n := range a.In {
		in, out = in*n, out*a.Out[i]
	}
	x, y := Scratch[T](c, len(a.X)), Scratch[T](c, len(a.Y))
	swapPlanes(c.P, x, a.X, a.N, a.C, out)
	nhwc.Transposed(c.P, &nhwc.Args[T]{
		N: a.N, Window: a.Window, X: x, Y: y,
		W:       lastPacker[T](c).PackTransposed(c.P, nhwc.Best(), a.W, a.M, a.C, a.Group, a.Kernel, a.Strides, a.Dilations),
		Scratch: func(n int) []T { return Scratch[T](c, n) },
	})
	swapPlanes(c.P, a.Y, y, a.N, in, a.M)
}

// swapPlanes transposes n matrices [rows, cols] of src to [cols, rows].
func swapPlanes[T conv.Float](p par.P, dst, src []T, n, rows, cols int) {
	if len(src) == 0 {
		return
	}
	if cols == 1 || rows == 1 {
		copy(dst, src)
		return
	}
	size := rows * cols
	const strip = 64 // rows of the result at a time
	strips := (cols + strip - 1) / strip
	p.For(n*strips, max(1, (1<<15)/(rows*strip)), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			b, j := i/strips, i%strips*strip
			m := min(strip, cols-j)
			s, d := src[b*size+j:(b+1)*size], dst[b*size+j*rows:(b+1)*size]
			if s, ok := any(s).([]float32); ok {
				move.Transpose(words(any(d).([]float32)), words(s), m, rows, rows, cols)
				continue
			}
			for r := range rows {
				for k, v := range s[r*cols : r*cols+m] {
					d[k*rows+r] = v
				}
			}
		}
	})
}

func words(s []float32) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}

// gradConv: dX and dW by private operators, dB[m] = Σ dY over the other
// dimensions. The operators take the attributes of n, and X and W for their shapes.
func gradConv(transposed bool) func(*GradContext) []*onnx.Value {
	return func(c *GradContext) []*onnx.Value {
		x, w, d := c.X(0), c.X(1), c.DOut[0]
		as := slices.Clone(c.Node().Attrs)
		if transposed {
			as = as.Set("transposed", int64(1))
		}
		out := make([]*onnx.Value, 3)
		if c.Needs(0) {
			out[0] = c.Ops(Private, "ConvInputGrad", as, 1, d, w, x)[0]
		}
		if c.Needs(1) {
			out[1] = c.Ops(Private, "ConvWeightGrad", as, 1, d, x, w)[0]
		}
		if c.X(2) == nil {
			return out[:2]
		}
		if c.Needs(2) {
			out[2] = c.perChannel(d)
		}
		return out
	}
}

// perChannel returns v [n, c, d…] summed over all dimensions but c.
func (c *GradContext) perChannel(v *onnx.Value) *onnx.Value {
	if !v.Type.Ranked || len(v.Type.Dims) < 2 {
		c.Fail(fmt.Errorf("%v is of unknown rank, want [n c …]", v.Type))
		return nil
	}
	axes := []int{0}
	for i := 2; i < len(v.Type.Dims); i++ {
		axes = append(axes, i)
	}
	return c.Op("ReduceSum", onnx.NewAttrs("keepdims", 0), v, c.Ints(axes...))
}
