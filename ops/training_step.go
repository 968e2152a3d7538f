package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// trainingStep makes the kernel of an optimizer of the training domain. Its
// inputs are the learning rate R, the count T of updates before this one, and
// then lists of equally many tensors: the parameters, their gradients and
// states-1 lists of what the optimizer remembers. The outputs are the new
// parameters and the new memories. prepare gets R and T and returns what one
// element's parameter, gradient and memories become; memories are at most two.
func trainingStep(states int, prepare func(r, t float64) func(x, g float64, m [2]float64) (float64, [2]float64)) Kernel {
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
			v, err := tensor.Float64s(t)
			if err != nil {
				return err
			}
			rt[i] = v[0]
		}
		step := prepare(rt[0], rt[1])
		for k := range n {
			ts := make([]*tensor.Tensor, lists)
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
				stepTensors[float32](c, k, n, ts, step)
			case tensor.Float64:
				stepTensors[float64](c, k, n, ts, step)
			default:
				return unsupportedType(2+k, d)
			}
		}
		return nil
	}
}

func stepTensors[T interface {
	float
	tensor.Element
}](c *Call, k, n int, ts []*tensor.Tensor, step func(x, g float64, m [2]float64) (float64, [2]float64)) {
	in, out := make([][]T, len(ts)), make([][]T, len(ts)-1)
	for l, t := range ts {
		in[l] = tensor.Data[T](t)
		if l < len(out) {
			out[l] = tensor.Data[T](c.Output(l*n+k, t.DType(), t.Shape()...))
		}
	}
	c.P.For(len(in[0]), grain, func(lo, hi int) {
		for i := lo; i < hi; i++ {
			var m [2]float64
			for l, s := range in[2:] {
				m[l] = float64(s[i])
			}
			x, m := step(float64(in[0][i]), float64(in[1][i]), m)
			out[0][i] = T(x)
			for l, s := range out[1:] {
				s[i] = T(m[l])
			}
		}
	})
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
