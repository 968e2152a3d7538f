package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// trainingStep makes the kernel of an optimizer of the training domain. Its
// inputs are the learning rate R, the count T of updates before this one, and
// then lists of equally many tensors: the parameters, their gradients and
// states-1 lists of what the optimizer remembers. The outputs are the new
// parameters and the new memories. prepare makes of R and T the factors of a
// call, with which step returns what one element's parameter, gradient and
// memories become; memories are at most two.
func trainingStep(states int, prepare func(r, t float64) [2]float64, step stepFunc) Kernel {
	return func(c *Call) error {
		lists := states + 1
		if (len(c.In)-2)%lists != 0 {
			return fmt.Errorf("%d inputs after R and T, want a multiple of %d", len(c.In)-2, lists)
		}
		n := (len(c.In) - 2) / lists
		if len(c.Out) != n*states {
			return fmt.Errorf("%d outputs, want %d for %d tensors", len(c.Out), n*states, n)
		}
		var rt [2]float64
		for i, name := range []string{"R", "T"} {
			t := c.T(i)
			if t == nil || t.Len() != 1 {
				return fmt.Errorf("%s is %v, want a scalar", name, t)
			}
			var err error
			if rt[i], err = numberOf(t); err != nil {
				return err
			}
		}
		factors := prepare(rt[0], rt[1])
		for k := range n {
			var all [4]*tensor.Tensor
			ts := all[:lists]
			for l := range ts {
				i := 2 + l*n + k
				ts[l] = c.T(i)
				if ts[l] == nil {
					return fmt.Errorf("input %d is absent", i)
				}
				if !slices.Equal(ts[l].Shape(), ts[0].Shape()) || ts[l].DType() != ts[0].DType() {
					return fmt.Errorf("input %d is %v, want %v as input %d", i, ts[l], ts[0], 2+k)
				}
			}
			switch d := ts[0].DType(); d {
			case tensor.Float32:
				stepTensors[float32](c, k, n, ts, factors, step)
			case tensor.Float64:
				stepTensors[float64](c, k, n, ts, factors, step)
			default:
				return unsupportedType(2+k, d)
			}
		}
		return nil
	}
}

// stepFunc is the step of one element by the factors k of a call.
type stepFunc func(k [2]float64, x, g float64, m [2]float64) (float64, [2]float64)

func stepTensors[T floating](c *Call, k, n int, ts []*tensor.Tensor, factors [2]float64, step stepFunc) {
	a := stepRun[T]{memories: len(ts) - 2, factors: factors, step: step}
	for l, t := range ts {
		a.in[l] = tensor.Data[T](t)
		if l < len(ts)-1 {
			a.out[l] = tensor.Data[T](c.Output(l*n+k, t.DType(), t.Shape()...))
		}
	}
	par.Run(c.P, len(a.in[0]), grain, par.With(a))
}

// stepRun is the step of a tensor: of the parameter, the gradient and the memories.
type stepRun[T floating] struct {
	in       [4][]T
	out      [3][]T
	memories int
	factors  [2]float64
	step     stepFunc
}

func (a *stepRun[T]) Chunk(lo, hi int) {
	in, out := a.in[2:2+a.memories], a.out[1:1+a.memories]
	for i := lo; i < hi; i++ {
		var m [2]float64
		for l, s := range in {
			m[l] = float64(s[i])
		}
		x, m := a.step(a.factors, float64(a.in[0][i]), float64(a.in[1][i]), m)
		a.out[0][i] = T(x)
		for l, s := range out {
			s[i] = T(m[l])
		}
	}
}

// inferTrainingStep gives the outputs the types of the parameters and memories.
func inferTrainingStep(states int) func(*InferContext) error {
	return func(c *InferContext) error {
		if (c.NumIn()-2)%(states+1) != 0 {
			return fmt.Errorf("%d inputs after R and T, want a multiple of %d", c.NumIn()-2, states+1)
		}
		n := (c.NumIn() - 2) / (states + 1)
		for i := range c.Out {
			if n > 0 {
				c.Out[i] = c.In(2 + i%n)
			}
		}
		return nil
	}
}
