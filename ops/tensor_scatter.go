package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// TensorScatter: a copy of past_cache in which steps write_indices[b],
// write_indices[b] + 1, … of batch entry b along axis are those of update. With
// mode circular the steps are taken modulo the size of the cache.
//
//	past_cache: T[B, …, S, …], update: T[B, …, s, …], write_indices: int64[B], optional    present_cache: T[B, …, S, …]
//
// Spec: https://onnx.ai/onnx/operators/onnx__TensorScatter.html
func init() {
	register(&Op{
		Name:     "TensorScatter",
		Versions: []Version{{Since: 24, In: Arity{2, 3}, Out: N(1), InPlace: []int{0}, Infer: inferFirst, Build: buildTensorScatter}},
	})
}

func buildTensorScatter(b *BuildContext) (Kernel, error) {
	axis := b.Int("axis", -2)
	circular := b.OneOf("mode", "linear", "circular") == "circular"
	return bytewise(func(c *Call) error {
		x, u := c.T(0), c.T(1)
		s, us := x.Shape(), u.Shape()
		a, err := tensor.Axis(axis, len(s))
		if err != nil {
			return err
		}
		if a == 0 {
			return fmt.Errorf("axis %d is the batch", axis)
		}
		want := append([]int{}, s...)
		if len(us) == len(s) {
			want[a] = us[a]
		}
		if !slices.Equal(us, want) || want[a] > s[a] {
			return fmt.Errorf("update has shape %v, past_cache %v: only dimension %d may differ and be smaller", us, s, a)
		}
		if u.DType() != x.DType() {
			return fmt.Errorf("update is %v, past_cache %v", u.DType(), x.DType())
		}
		at, err := c.Ints(2)
		if err != nil {
			return err
		}
		if at == nil {
			at = make([]int, s[0])
		}
		if len(at) != s[0] {
			return fmt.Errorf("write_indices has %d elements, want %d", len(at), s[0])
		}
		for _, v := range at {
			if v < 0 || !circular && v > s[a]-us[a] {
				return fmt.Errorf("write index %d with %d steps is out of a cache of %d", v, us[a], s[a])
			}
		}
		y := c.Output(0, x.DType(), s...)
		m := moverOf(x.DType())
		m.run(y, 0, x, 0, x.Len())
		if u.Len() == 0 {
			return nil
		}
		inner, per := sizeOf(s[a+1:]), sizeOf(s[1:a])
		n, size := us[a], s[a]
		c.P.For(s[0]*per, max(1, moveGrain/(n*inner)), func(lo, hi int) {
			for o := lo; o < hi; o++ {
				first := at[o/per] % size // a linear write ends at size at most
				k := min(n, size-first)
				m.run(y, (o*size+first)*inner, u, o*n*inner, k*inner)
				m.run(y, o*size*inner, u, (o*n+k)*inner, (n-k)*inner)
			}
		})
		return nil
	}, 0), nil
}
