package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.GatherGrad: the gradient of the data of Gather, whose shape is given: each
// slice along axis gets the sum of dY at the places where its index is, added in the order
// of indices. This operator is private: gradients write it.
//
//	dY: T[i…, j…, k…], shape: int64[r], indices: int32 or int64[j…]    dX: T[shape]
//
// T: float16, bfloat16 (both summed in float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Gather.html
func gatherGradOp() *Op {
	return &Op{
		Domain: Private, Name: "GatherGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: N(3), Out: N(1), Infer: inferShaped, Build: buildGatherGrad}},
	}
}

func buildGatherGrad(b *BuildContext) (Kernel, error) {
	axis := b.Int("axis", 0)
	add := vec.Best().Add
	f32 := gatherGradKernel(axis, func(dst, src []float32) { add(dst, dst, src) })
	half := throughFloat32(f32, 0)
	return b.need(0, byType{
		tensor.Float32: f32, tensor.Float64: gatherGradKernel(axis, addLoop[float64]),
		tensor.Float16: half, tensor.BFloat16: half,
	})
}

func addLoop[T float](dst, src []T) {
	src = src[:len(dst)]
	for i := range dst {
		dst[i] += src[i]
	}
}

// gatherColumns is the width of the columns of slices that are summed apart from
// each other, so that there is work for several threads where all indices are of
// one table.
const gatherColumns = 64

func gatherGradKernel[T floating](axis int, add func(dst, src []T)) Kernel {
	return func(c *Call) error {
		d := c.T(0)
		s, err := c.shaped(1)
		if err != nil {
			return err
		}
		a, err := tensor.Axis(axis, len(s))
		if err != nil {
			return err
		}
		idx, err := c.indices(2, s[a])
		if err != nil {
			return err
		}
		at := c.T(2).Shape()
		want := append(append(append(c.Dims(len(s) + len(at) - 1)[:0], s[:a]...), at...), s[a+1:]...)
		if !slices.Equal(d.Shape(), want) {
			return fmt.Errorf("dY has shape %v, want %v", d.Shape(), want)
		}
		y := c.Output(0, d.DType(), s...)
		outer, n, inner := splitAxis(s, a)
		if y.Len() == 0 {
			return nil
		}
		panels := (inner + gatherColumns - 1) / gatherColumns
		work := min(inner, gatherColumns) * (n + len(idx))
		par.Each(c.P, outer*panels, max(1, moveGrain/work), gatherGradLoop[T]{tensor.Data[T](y), tensor.Data[T](d), idx, n, inner, panels, add}, (*gatherGradLoop[T]).run)
		return nil
	}
}

type gatherGradLoop[T floating] struct {
	y, d             []T
	idx              []int64
	n, inner, panels int
	add              func(dst, src []T)
}

func (l *gatherGradLoop[T]) run(lo, hi int) {
	for u := lo; u < hi; u++ {
		o, j := u/l.panels, u%l.panels*gatherColumns
		w := min(gatherColumns, l.inner-j)
		y, d := l.y[o*l.n*l.inner:][:l.n*l.inner], l.d[o*len(l.idx)*l.inner:]
		for i := range l.n {
			clear(y[i*l.inner+j:][:w])
		}
		if l.inner == 1 {
			for i, at := range l.idx {
				y[at] += d[i]
			}
			continue
		}
		for i, at := range l.idx {
			l.add(y[int(at)*l.inner+j:][:w], d[i*l.inner+j:][:w])
		}
	}
}
