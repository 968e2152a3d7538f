package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// AveragePool: Y is the mean of X over each window of kernel_shape. Padding
// counts as zeros with count_include_pad and not at all without; what lies
// beyond the padding (ceil_mode) never counts. With ceil_mode, windows that
// would start in the padding at the end do not exist.
//
//	X: T[n, c, d…]    Y: T[n, c, o…]
//
// T: float16, bfloat16, float32, float64; sums in float32 where no dimension adds many elements,
// otherwise in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__AveragePool.html
func init() {
	version := func(since int, read func(*attrs) averageParams) Version {
		return Version{Since: since, In: N(1), Out: N(1),
			Infer: func(c *InferContext) error { return inferPool(c, read(&c.attrs).windowParams) },
			Build: func(b *BuildContext) (Kernel, error) { return buildAveragePool(b, read(&b.attrs)) },
		}
	}
	register(&Op{
		Name:     "AveragePool",
		Numerics: Rounding,
		Versions: []Version{
			version(1, func(a *attrs) averageParams { return averageParams{windowParams: readWindow(a)} }),
			version(7, func(a *attrs) averageParams {
				return averageParams{readWindow(a), a.Bool("count_include_pad", false)}
			}),
			// 11 says what the defaults are.
			version(10, func(a *attrs) averageParams {
				p := averageParams{readWindow(a), a.Bool("count_include_pad", false)}
				p.ceil = a.Bool("ceil_mode", false)
				return p
			}),
			// 22 added bfloat16.
			version(19, func(a *attrs) averageParams {
				p := averageParams{readWindow(a).withDilations(a), a.Bool("count_include_pad", false)}
				p.ceil = a.Bool("ceil_mode", false)
				return p
			}),
		},
	})
}

type averageParams struct {
	windowParams
	includePad bool
}

func buildAveragePool(b *BuildContext, p averageParams) (Kernel, error) {
	f32 := averagePoolKernel[float32](p, meanPlanes32())
	half := throughFloat32(f32, 0)
	return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: averagePoolKernel[float64](p, nil), tensor.Float16: half, tensor.BFloat16: half})
}

func averagePoolKernel[T conv.Float](p averageParams, planes planesKernel) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		if x.Rank() < 3 {
			return fmt.Errorf("X has shape %v, want [n c d…]", x.Shape())
		}
		w, err := p.keptWindow(c, x.Shape()[2:], p.includePad)
		if err != nil {
			return err
		}
		y := c.Output(0, x.DType(), append(append(c.Dims(x.Rank())[:0], x.Shape()[:2]...), w.Out...)...)
		if planes != nil && y.Len() > 0 && x.Len() > 0 && separates(&w.Window) && sums(&w.Window) {
			planes(c, &w.Window, x.Dim(0)*x.Dim(1), 1, w.divisors(), x, y)
			return nil
		}
		conv.AveragePool(c.P, x.Dim(0)*x.Dim(1), &w.Window, tensor.Data[T](x), tensor.Data[T](y), w.counts)
		return nil
	}
}

// padded returns, for each dimension and position, how many elements the
// window sees of the image and its padding.
func (w *window) padded() [][]int {
	counts := make([][]int, len(w.In))
	for i := range counts {
		counts[i] = make([]int, w.Out[i])
		end := w.In[i] + w.after[i]
		for o := range counts[i] {
			room := end - (o*w.Strides[i] - w.Before[i]) // of elements from the first to the end
			counts[i][o] = min(w.Kernel[i], (max(room, 0)+w.Dilations[i]-1)/w.Dilations[i])
		}
	}
	return counts
}

// divisors returns counts, or without them what padded would give if padding did not count.
func (s *poolState) divisors() [][]int {
	if s.counts != nil {
		return s.counts
	}
	if s.seen == nil {
		s.seen = make([][]int, len(s.In))
		for i := range s.seen {
			s.seen[i] = make([]int, s.Out[i])
			for o := range s.seen[i] {
				d, at, n := s.Dilations[i], o*s.Strides[i]-s.Before[i], s.Kernel[i]
				if last := s.In[i] - 1 - at; last >= 0 {
					n = min(n, last/d+1)
				} else {
					n = 0
				}
				s.seen[i][o] = max(0, n-(max(0, -at)+d-1)/d)
			}
		}
	}
	return s.seen
}

func gradAveragePool(c *GradContext) []*onnx.Value {
	return c.Ops(Private, "AveragePoolGrad", c.Node().Attrs, 1, c.DOut[0], c.X(0))
}
