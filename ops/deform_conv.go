package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
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

func deformKernel[T conv.Float](p deformParams) Kernel {
	d := tensor.DTypeOf[T]()
	return func(c *Call) error {
		x, w, offset, bias, mask := c.T(0), c.T(1), c.T(2), c.T(3), c.T(4)
		for i, t := range []*tensor.Tensor{w, offset, bias, mask} {
			if t != nil && t.DType() != d {
				return fmt.Errorf("input %d is %v, want %v", i+1, t, d)
			}
		}
		win, err := p.convWindow(x, w)
		if err != nil {
			return err
		}
		if x.Rank() > 10 {
			return fmt.Errorf("%w: %d spatial dimensions", ErrUnsupported, x.Rank()-2)
		}
		taps, err := tensor.Count(win.Kernel)
		if err != nil {
			return err
		}
		m, n := w.Dim(0), x.Dim(0)
		if x.Dim(1)%p.groups != 0 {
			return fmt.Errorf("X has shape %v, want channels in %d groups of offsets", x.Shape(), p.groups)
		}
		if s := append([]int{n, p.groups * taps * len(win.In)}, win.Out...); !slices.Equal(offset.Shape(), s) {
			return fmt.Errorf("offset has shape %v, want %v", offset.Shape(), s)
		}
		a := conv.Args[T]{N: n, C: x.Dim(1), M: m, Group: p.group, Window: win.Window}
		var masks []T
		if mask != nil {
			if s := append([]int{n, p.groups * taps}, win.Out...); !slices.Equal(mask.Shape(), s) {
				return fmt.Errorf("mask has shape %v, want %v", mask.Shape(), s)
			}
			masks = tensor.Data[T](mask)
		}
		if bias != nil {
			if bias.Rank() != 1 || bias.Len() != m {
				return fmt.Errorf("B has shape %v, want [%d]", bias.Shape(), m)
			}
			a.B = tensor.Data[T](bias)
		}
		y := c.Output(0, d, append([]int{n, m}, win.Out...)...)
		a.X, a.W, a.Y = tensor.Data[T](x), tensor.Data[T](w), tensor.Data[T](y)
		conv.Deform(c.P, &a, tensor.Data[T](offset), masks, p.groups)
		return nil
	}
}
