package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// DeformConv: Conv with taps that are moved by offset and weighted by mask. X
// is interpolated linearly between its elements and is 0 outside.
//
//	X: T[n, c, d…]    W: T[m, c/group, k…]    offset: T[n, offset_group·Πk·rank(d), o…]
//	B: T[m], optional    mask: T[n, offset_group·Πk, o…], optional    Y: T[n, m, o…]
//
// T: float16, bfloat16 (both computed in float32), float32, float64. Up to 8
// spatial dimensions.
//
// Spec: https://onnx.ai/onnx/operators/onnx__DeformConv.html
func init() {
	register(&Op{
		Name:     "DeformConv",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{
			// 22 added bfloat16.
			{Since: 19, In: Arity{3, 5}, Out: N(1), Infer: inferDeformConv, Build: buildDeformConv},
		},
	})
}

type deformParams struct {
	convParams
	groups int
}

func readDeform(a *attrs) deformParams {
	p := deformParams{groups: a.Int("offset_group", 1)}
	p.windowParams = windowParams{autoPad: "NOTSET", kernel: a.Ints("kernel_shape", nil), strides: a.Ints("strides", nil), pads: a.Ints("pads", nil)}
	p.check(a, "kernel_shape", p.kernel, 1)
	p.check(a, "strides", p.strides, 1)
	p.check(a, "pads", p.pads, 0)
	p.windowParams = p.withDilations(a)
	p.group = a.Int("group", 1)
	if p.group < 1 || p.groups < 1 {
		a.Fail("group is %d and offset_group is %d, want at least 1", p.group, p.groups)
		p.group, p.groups = 1, 1
	}
	return p
}

func inferDeformConv(c *InferContext) error { return inferConvAs(c, readDeform(&c.attrs).convParams) }

func buildDeformConv(b *BuildContext) (Kernel, error) {
	p := readDeform(&b.attrs)
	f32 := deformKernel[float32](p)
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: deformKernel[float64](p), tensor.Float16: half, tensor.BFloat16: half})
}

// gradDeformConv: by x.DeformConvGrad, and dB the sum of dY for each channel.
func gradDeformConv(c *GradContext) []*onnx.Value {
	out, d := make([]*onnx.Value, 5), c.DOut[0]
	if c.Needs(3) {
		out[3] = c.perChannel(d)
	}
	last := -1
	from := [4]int{0, 1, 2, 4}
	for k, i := range from {
		if c.Needs(i) {
			last = k
		}
	}
	if last < 0 {
		return out
	}
	n := c.G.NewNodeIn(Private, "DeformConvGrad", c.Node().Attrs, []*onnx.Value{c.X(0), c.X(1), c.X(2), c.X(4), d}, last+1)
	for k := range n.Out {
		if !c.Needs(from[k]) {
			n.Out[k] = nil
		}
	}
	for k, v := range c.Add(n) {
		out[from[k]] = v
	}
	return out
}

// deformArgs returns the arguments of a kernel, without B and Y, once all sizes fit.
func deformArgs[T conv.Float](c *Call, p deformParams, x, w, offset, mask *tensor.Tensor) (a conv.Args[T], offsets, masks []T, err error) {
	d := tensor.DTypeOf[T]()
	for i, t := range []*tensor.Tensor{x, w, offset} {
		if t == nil || t.DType() != d {
			return a, nil, nil, fmt.Errorf("input %d is %v, want %v", i, t, d)
		}
	}
	win, err := p.convWindow(c, x, w)
	if err != nil {
		return a, nil, nil, err
	}
	if x.Rank() > 10 {
		return a, nil, nil, fmt.Errorf("%w: %d spatial dimensions", ErrUnsupported, x.Rank()-2)
	}
	taps, err := tensor.Count(win.Kernel)
	if err != nil {
		return a, nil, nil, err
	}
	n := x.Dim(0)
	if x.Dim(1)%p.groups != 0 {
		return a, nil, nil, fmt.Errorf("X has shape %v, want channels in %d groups of offsets", x.Shape(), p.groups)
	}
	if s := lastFirst(c, n, p.groups*taps*len(win.In), win.Out); !slices.Equal(offset.Shape(), s) {
		return a, nil, nil, fmt.Errorf("offset has shape %v, want %v", offset.Shape(), s)
	}
	if mask != nil {
		if s := lastFirst(c, n, p.groups*taps, win.Out); mask.DType() != d || !slices.Equal(mask.Shape(), s) {
			return a, nil, nil, fmt.Errorf("mask is %v, want %v %v", mask, d, s)
		}
		masks = tensor.Data[T](mask)
	}
	a = conv.Args[T]{N: n, C: x.Dim(1), M: w.Dim(0), Group: p.group, Window: win.Window, X: tensor.Data[T](x), W: tensor.Data[T](w)}
	return a, tensor.Data[T](offset), masks, nil
}

func deformKernel[T conv.Float](p deformParams) Kernel {
	d := tensor.DTypeOf[T]()
	return func(c *Call) error {
		bias := c.T(3)
		a, offset, mask, err := deformArgs[T](c, p, c.T(0), c.T(1), c.T(2), c.T(4))
		if err != nil {
			return err
		}
		if bias != nil {
			if bias.DType() != d || bias.Rank() != 1 || bias.Len() != a.M {
				return fmt.Errorf("B is %v, want %v [%d]", bias, d, a.M)
			}
			a.B = tensor.Data[T](bias)
		}
		a.Y = tensor.Data[T](c.Output(0, d, lastFirst(c, a.N, a.M, a.Out)...))
		conv.Deform(c.P, &a, offset, mask, p.groups)
		return nil
	}
}
