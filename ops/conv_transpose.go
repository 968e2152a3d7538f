package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ConvTranspose: the transpose of Conv as a linear map of X, plus B: every
// element of X is multiplied with the kernel and the products are added up
// where they overlap.
//
//	X: T[n, c, d…]    W: T[c, m/group, k…]    B: T[m], optional    Y: T[n, m, o…]
//	o = strides·(d-1) + output_padding + dilations·(k-1) + 1 - pads
//
// output_shape gives o instead, and the pads follow; auto_pad SAME_UPPER and
// SAME_LOWER mean o = d·strides.
//
// T: float16, bfloat16 (both computed in float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html
func init() {
	register(&Op{
		Name:     "ConvTranspose",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{
			// 11 says what the defaults are, 22 added bfloat16.
			{Since: 1, In: Arity{2, 3}, Out: N(1), Infer: inferConvTranspose, Build: buildConvTranspose},
		},
	})
}

func gradConvTranspose(c *GradContext) []*onnx.Value {
	return gradConv(true)(c)
}

type convTransposeParams struct {
	convParams
	outputPadding, outputShape []int
}

func readConvTranspose(a *attrs) convTransposeParams {
	p := convTransposeParams{convParams: readConv(a), outputPadding: a.Ints("output_padding", nil), outputShape: a.Ints("output_shape", nil)}
	p.check(a, "output_padding", p.outputPadding, 0)
	p.check(a, "output_shape", p.outputShape, 0)
	return p
}

// over returns the window in which X is what a convolution of Y would give.
func (p *convTransposeParams) over(in, kernel []int) (conv.Window, error) {
	d := len(in)
	w := conv.Window{Out: in, Kernel: kernel}
	strides, dilations, pads, err := p.lists(d)
	if err != nil {
		return w, err
	}
	extra := p.outputPadding
	if extra == nil {
		extra = make([]int, d)
	}
	given := p.outputShape
	if len(given) == d+2 { // some exporters list the batch and the channels too
		given = given[2:]
	}
	if len(extra) != d || given != nil && len(given) != d {
		return w, fmt.Errorf("output_padding is %v and output_shape is %v for %d spatial dimensions", extra, p.outputShape, d)
	}
	w.Strides, w.Dilations, w.Before, w.In = strides, dilations, make([]int, d), make([]int, d)
	for i := range d {
		if kernel[i] < 1 || in[i] > math.MaxInt32 {
			return w, fmt.Errorf("a kernel of %v over %v", kernel, in)
		}
		full := strides[i]*(in[i]-1) + extra[i] + (kernel[i]-1)*dilations[i] + 1
		same := p.autoPad == "SAME_UPPER" || p.autoPad == "SAME_LOWER"
		switch {
		case given != nil || same:
			out := in[i] * strides[i]
			if given != nil {
				out = given[i]
			}
			total := max(0, full-out)
			w.In[i], w.Before[i] = out, total/2
			if p.autoPad != "SAME_UPPER" {
				w.Before[i] = total - total/2
			}
		default:
			w.In[i], w.Before[i] = full-pads[i]-pads[i+d], pads[i]
			if w.In[i] < 0 {
				return w, fmt.Errorf("dimension %d of %d gives %d elements, less than the pads %d and %d", i+2, in[i], full, pads[i], pads[i+d])
			}
		}
	}
	return w, nil
}

// keptOver is over, computed when the size of X or of the kernel changes.
func (p *convTransposeParams) keptOver(c *Call, in, kernel []int) (conv.Window, error) {
	s := State[poolState](c)
	if s.known && slices.Equal(s.Out, in) && slices.Equal(s.Kernel, kernel) {
		return s.Window, nil
	}
	w, err := p.over(slices.Clone(in), slices.Clone(kernel))
	if err == nil {
		*s = poolState{window: window{Window: w}, known: true}
	}
	return w, err
}

func inferConvTranspose(c *InferContext) error {
	p := readConvTranspose(&c.attrs)
	x, w := c.In(0), c.In(1)
	c.Out[0] = onnx.UnrankedType(x.DType)
	if !x.Ranked || c.err != nil {
		return nil
	}
	d := len(x.Dims) - 2
	if d < 1 || w.Ranked && len(w.Dims) != d+2 {
		return fmt.Errorf("X is %v and W is %v, want [n c d…] and [c m/group k…]", x, w)
	}
	k, err := p.kernelDims(w, d)
	if err != nil {
		return err
	}
	dims := make([]onnx.Dim, d+2)
	dims[0] = x.Dims[0]
	if w.Ranked {
		dims[1] = w.Dims[1].Mul(onnx.Size(p.group))
	}
	in, known := onnx.TensorType(x.DType, x.Dims[2:]...).Static()
	kernel, kernelKnown := onnx.TensorType(x.DType, k...).Static()
	if known && kernelKnown {
		win, err := p.over(in, kernel)
		if err != nil {
			return err
		}
		copy(dims[2:], onnx.Sizes(win.In...))
	} else if len(p.outputShape) == d {
		copy(dims[2:], onnx.Sizes(p.outputShape...))
	} else if p.outputShape == nil && kernelKnown {
		strides, dilations, pads, err := p.lists(d)
		if err != nil {
			return err
		}
		for i := range d {
			s := onnx.Size(strides[i])
			if p.autoPad == "SAME_UPPER" || p.autoPad == "SAME_LOWER" {
				dims[i+2] = x.Dims[i+2].Mul(s)
				continue
			}
			extra := 0
			if i < len(p.outputPadding) {
				extra = p.outputPadding[i]
			}
			dims[i+2] = x.Dims[i+2].Mul(s).Add(onnx.Size(extra + (kernel[i]-1)*dilations[i] + 1 - strides[i] - pads[i] - pads[i+d]))
		}
	}
	c.Out[0] = onnx.TensorType(x.DType, dims...)
	return nil
}

func buildConvTranspose(b *BuildContext) (Kernel, error) {
	p := readConvTranspose(&b.attrs)
	f32 := convTransposeKernel[float32](p)
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: convTransposeKernel[float64](p), tensor.Float16: half, tensor.BFloat16: half})
}

func convTransposeKernel[T conv.Float](p convTransposeParams) Kernel {
	d := tensor.DTypeOf[T]()
	return func(c *Call) error {
		x, w, bias := c.T(0), c.T(1), c.T(2)
		xs, ws := x.Shape(), w.Shape()
		if len(xs) < 3 || len(ws) != len(xs) {
			return fmt.Errorf("X has shape %v and W has shape %v, want [n c d…] and [c m/group k…]", xs, ws)
		}
		if xs[1] != ws[0] || xs[1]%p.group != 0 {
			return fmt.Errorf("X has shape %v and W has shape %v, want channels in %d groups", xs, ws, p.group)
		}
		if p.kernel != nil && !slices.Equal(p.kernel, ws[2:]) {
			return fmt.Errorf("kernel_shape is %v, W has shape %v", p.kernel, ws)
		}
		win, err := p.keptOver(c, xs[2:], ws[2:])
		if err != nil {
			return err
		}
		m := ws[1] * p.group
		a := conv.Args[T]{N: xs[0], C: xs[1], M: m, Group: p.group, Window: win}
		if w.DType() != d || bias != nil && bias.DType() != d {
			return fmt.Errorf("X is %v and W is %v, want the same element type", x, w)
		}
		if bias != nil {
			if bias.Rank() != 1 || bias.Len() != m {
				return fmt.Errorf("B has shape %v, want [%d]", bias.Shape(), m)
			}
			a.B = tensor.Data[T](bias)
		}
		y := c.Output(0, d, lastFirst(c, a.N, m, win.In)...)
		a.X, a.W, a.Y = tensor.Data[T](x), tensor.Data[T](w), tensor.Data[T](y)
		conv.Transposed(c.P, &a)
		return nil
	}
}
