package ops

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/nhwc"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.ConvTranspose: Y = activation(ConvTranspose(X, W, B)) with the channels of X
// and Y last and one to three spatial dimensions. The attributes are those of
// ConvTranspose, and activation and activation_params of FusedConv.
//
//	X: T[n, d…, c]    W: T[c, m/group, k…]    B: T[m], optional    Y: T[n, o…, m]
//
// T: float16, bfloat16 (both computed in float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__ConvTranspose.html
func init() {
	register(&Op{
		Domain:   "x",
		Name:     "ConvTranspose",
		Numerics: Rounding,
		Flush:    true,
		Versions: []Version{{Since: 1, In: Arity{2, 3}, Out: N(1), Infer: inferLast(inferConvTranspose), Build: buildLastConvTranspose}},
	})
}

func buildLastConvTranspose(b *BuildContext) (Kernel, error) {
	p := readConvTranspose(&b.attrs)
	var err error
	if p.act, err = newActivation(b.Str("activation", ""), b.Floats("activation_params", nil)); err != nil {
		return nil, err
	}
	if b.err != nil {
		return nil, nil
	}
	t := nhwc.Best()
	if w := b.Const(1); w != nil && w.DType() == tensor.Float32 && b.In(0).DType == tensor.Float32 && p.packs(w.Shape()) {
		d := w.Rank() - 2
		strides, dilations := orOnes(p.strides, d), orOnes(p.dilations, d)
		q, err := b.Pack(1, fmt.Sprintf("nhwc transposed %d %v %v", p.group, strides, dilations), func() (any, error) {
			return nhwc.PackTransposed(t, tensor.Data[float32](w), w.Dim(1)*p.group, w.Dim(0), p.group, w.Shape()[2:], strides, dilations), nil
		})
		if err != nil {
			return nil, err
		}
		return lastConvTransposeKernel(p, t, q.(*nhwc.Weights[float32])), nil
	}
	f32 := lastConvTransposeKernel[float32](p, t, nil)
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: lastConvTransposeKernel[float64](p, t, nil), tensor.Float16: half, tensor.BFloat16: half})
}

// packs reports whether weights of shape w can be packed before the call.
func (p *convTransposeParams) packs(w []int) bool {
	d := len(w) - 2
	return d >= 1 && d <= 3 && w[0]%p.group == 0 && w[1] <= math.MaxInt32 && !slices.Contains(w, 0) &&
		(p.kernel == nil || slices.Equal(p.kernel, w[2:])) && len(orOnes(p.strides, d)) == d && len(orOnes(p.dilations, d)) == d
}

func lastConvTransposeKernel[T nhwc.Float](p convTransposeParams, table *nhwc.Table, packed *nhwc.Weights[T]) Kernel {
	d := tensor.DTypeOf[T]()
	var end nhwc.Epilogue[T]
	end.Clamp, end.Lo, end.Hi, end.Act = limits[T](p.act)
	return func(c *Call) error {
		x, wt, bias := c.T(0), c.T(1), c.T(2)
		n, in, ch, err := lastShape(x.Shape())
		if err != nil {
			return err
		}
		w := packed
		var kernel []int
		if w == nil {
			if wt.DType() != d {
				return fmt.Errorf("X is %v, W is %v, want the same", x, wt)
			}
			ws := wt.Shape()
			if len(ws) != len(in)+2 || p.kernel != nil && !slices.Equal(p.kernel, ws[2:]) || ch != ws[0] || ch%p.group != 0 {
				return fmt.Errorf("X has shape %v and W has shape %v, want channels in %d groups and a kernel of %v", x.Shape(), ws, p.group, p.kernel)
			}
			kernel = ws[2:]
		} else {
			if x.DType() != d || w.C != ch || len(w.Kernel) != len(in) {
				return fmt.Errorf("X is %v, want %d channels and %d spatial dimensions of %v", x, w.C, len(w.Kernel), d)
			}
			kernel = w.Kernel
		}
		s := State[lastConvState[T]](c)
		a, err := s.begin(c, in, kernel, p.over)
		if err != nil {
			return err
		}
		if w == nil {
			w = lastPacker[T](c).PackTransposed(c.P, table, tensor.Data[T](wt), wt.Dim(1)*p.group, ch, p.group, kernel, a.Strides, a.Dilations)
		}
		a.N, a.W, a.X, a.Epilogue, a.Table = n, w, tensor.Data[T](x), end, table
		if bias != nil {
			if bias.DType() != d || bias.Rank() != 1 || bias.Len() != w.M {
				return fmt.Errorf("B is %v, want %v[%d]", bias, d, w.M)
			}
			a.B = tensor.Data[T](bias)
		}
		a.Y = tensor.Data[T](c.Output(0, d, lastDims(c.Dims(len(in)+2), n, a.In, w.M)...))
		nhwc.Transposed(c.P, a)
		s.end()
		return nil
	}
}
