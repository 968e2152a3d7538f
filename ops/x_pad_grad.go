package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// x.PadGrad: the gradient of the data of Pad, whose shape is given: each element
// gets the sum of dY at the places where Pad puts it, added in the order of dY.
// This operator is private: gradients write it.
//
//	dY: T[...], shape: int64[r], pads: int64[2k], axes: int32 or int64[k], optional    dX: T[shape]
//
// T: float16, bfloat16 (both summed in float32), float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Pad.html
func padGradOp() *Op {
	return &Op{
		Domain: Private, Name: "PadGrad", Numerics: Rounding,
		Versions: []Version{{Since: 1, In: Arity{3, 4}, Out: N(1), Infer: inferShaped, Build: buildPadGrad}},
	}
}

func buildPadGrad(b *BuildContext) (Kernel, error) {
	mode := b.OneOf("mode", padModes...)
	f32 := padGradKernel[float32](mode)
	half := throughFloat32(f32, 0)
	return b.need(0, byType{tensor.Float32: f32, tensor.Float64: padGradKernel[float64](mode), tensor.Float16: half, tensor.BFloat16: half})
}

func padGradKernel[T floating](mode string) Kernel {
	return func(c *Call) error {
		d := c.T(0)
		s, err := c.shaped(1)
		if err != nil {
			return err
		}
		pads, err := c.Ints(2)
		if err != nil {
			return err
		}
		axes, err := c.Ints(3)
		if err != nil {
			return err
		}
		shape, before, after, err := padSpans(c, s, pads, axes)
		if err != nil {
			return err
		}
		if !slices.Equal(d.Shape(), shape) {
			return fmt.Errorf("dY has shape %v, want %v", d.Shape(), shape)
		}
		y := c.Output(0, d.DType(), s...)
		if y.Len() == 0 {
			return nil
		}
		if mode == "constant" {
			l := strided{shape: c.Dims(len(s)), ds: c.strides(s), ss: c.strides(shape)}
			whole := true
			for i, n := range s {
				from, to := max(0, -before[i]), min(n, shape[i]-before[i])
				l.shape[i] = max(0, to-from)
				l.do += from * l.ds[i]
				l.so += (from + before[i]) * l.ss[i]
				whole = whole && l.shape[i] == n
			}
			if !whole {
				zero(y)
			}
			if !slices.Contains(l.shape, 0) {
				moverOf(d.DType()).copy(c.P, y, d, l)
			}
			return nil
		}
		zero(y)
		if d.Len() == 0 {
			return nil
		}
		maps, err := padMaps(mode, s, shape, before, after)
		if err != nil {
			return err
		}
		// Dimensions in front that have no pads are walked in parallel.
		own, outer := 0, 1
		for own < len(s) && before[own] == 0 && after[own] == 0 {
			outer *= s[own]
			own++
		}
		l := padGradLoop[T]{tensor.Data[T](y), tensor.Data[T](d), maps[own:], sizeOf(s[own:]), sizeOf(shape[own:])}
		par.Each(c.P, outer, max(1, moveGrain/l.from), l, (*padGradLoop[T]).run)
		return nil
	}
}

// padGradLoop adds pieces of from elements of d to pieces of to elements of y.
type padGradLoop[T floating] struct {
	y, d     []T
	maps     [][]int
	to, from int
}

func (l *padGradLoop[T]) run(lo, hi int) {
	for o := lo; o < hi; o++ {
		addMapped(l.y[o*l.to:][:l.to], l.d[o*l.from:][:l.from], l.maps)
	}
}

// addMapped adds d[i0, i1, …] to y[maps[0][i0] + maps[1][i1] + …].
func addMapped[T floating](y, d []T, maps [][]int) {
	if len(maps) == 0 {
		y[0] += d[0]
		return
	}
	n := len(d) / len(maps[0])
	for k, at := range maps[0] {
		if len(maps) == 1 {
			y[at] += d[k]
			continue
		}
		addMapped(y[at:], d[k*n:][:n], maps[1:])
	}
}
