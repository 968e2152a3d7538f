package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// What x.SGDStep, x.AdamStep and their like have in common: a parameter W, its
// gradient G and the optimizer's memories become a new parameter and new
// memories, element by element, in one pass. Inputs are W, G, the memories and
// three scalars: the learning rate lr (float32), the count of updates with this
// one, t (int64), and the factor of G, scale (float32), which clips it. All outputs have W's
// shape. Steps are computed in float32 for tensors of float32, else in float64.

// stepKernel makes the kernel of an optimizer with n memories. prepare gets the
// learning rate and t once per call and returns what a chunk of elements goes
// through: w, g and m are what was, w2 and m2 what will be.
func stepKernel[T float32 | float64](n int, prepare func(lr float64, t int) func(w2, w, g []T, m2, m *[2][]T, scale T)) Kernel {
	return func(c *Call) error {
		w, g := c.T(0), c.T(1)
		if g.DType() != w.DType() || g.Len() != w.Len() {
			return fmt.Errorf("G is %v, want %v as W", g, w)
		}
		s := optimizerStep[T]{w: tensor.Data[T](w), g: tensor.Data[T](g)}
		for i := range n {
			m := c.T(2 + i)
			if m.DType() != w.DType() || m.Len() != w.Len() {
				return fmt.Errorf("memory %d is %v, want %v as W", i, m, w)
			}
			s.m[i] = tensor.Data[T](m)
		}
		var scalars [2]float64
		for k, i := range []int{2 + n, 4 + n} {
			x := c.T(i)
			if x.DType() != tensor.Float32 || x.Len() != 1 {
				return fmt.Errorf("input %d is %v, want a float32 scalar", i, x)
			}
			scalars[k] = float64(tensor.Data[float32](x)[0])
		}
		t, err := c.Ints(3 + n)
		if err != nil {
			return err
		}
		if len(t) != 1 || t[0] < 1 {
			return fmt.Errorf("t is %v, want a count of at least 1", t)
		}
		s.step, s.scale = prepare(scalars[0], t[0]), T(scalars[1])
		s.w2 = tensor.Data[T](c.Output(0, w.DType(), w.Shape()...))
		for i := range n {
			s.m2[i] = tensor.Data[T](c.Output(1+i, w.DType(), w.Shape()...))
		}
		par.Each(c.P, (w.Len()+stepChunk-1)/stepChunk, 4, s, (*optimizerStep[T]).run)
		return nil
	}
}

const stepChunk = 1024

type optimizerStep[T float32 | float64] struct {
	w2, w, g []T
	m2, m    [2][]T
	scale    T
	step     func(w2, w, g []T, m2, m *[2][]T, scale T)
}

func (s *optimizerStep[T]) run(lo, hi int) {
	for i := lo * stepChunk; i < min(hi*stepChunk, len(s.w)); i += stepChunk {
		j := min(i+stepChunk, len(s.w))
		var m2, m [2][]T
		for k := range s.m {
			if s.m[k] != nil {
				m2[k], m[k] = s.m2[k][i:j], s.m[k][i:j]
			}
		}
		s.step(s.w2[i:j], s.w[i:j], s.g[i:j], &m2, &m, s.scale)
	}
}

func stepVersions(memories int, build func(*BuildContext) (Kernel, error)) []Version {
	beside := []int{-1} // a memory follows itself
	for i := range memories {
		beside = append(beside, 2+i)
	}
	return []Version{{Since: 1, In: N(5 + memories), Out: N(1 + memories), InPlace: []int{0}, Beside: beside, Infer: func(c *InferContext) error {
		for i := range c.Out {
			c.Out[i] = c.In(0)
		}
		return nil
	}, Build: build}}
}

// stepFor dispatches on the type of W.
func stepFor(b *BuildContext, f32, f64 Kernel) (Kernel, error) {
	return b.dispatch(0, byType{tensor.Float32: f32, tensor.Float64: f64})
}
