package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// ConcatFromSequence: the elements of input_sequence one after the other along
// axis, or, with new_axis, stacked along a new dimension at axis.
//
//	input_sequence: seq(T)    concat_result: T[...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__ConcatFromSequence.html
func init() {
	register(&Op{
		Name:     "ConcatFromSequence",
		Versions: []Version{{Since: 11, In: N(1), Out: N(1), Infer: inferConcatFromSequence, Build: buildConcatFromSequence}},
	})
}

func inferConcatFromSequence(c *InferContext) error {
	e := elemOf(c.In(0))
	axis, stack := c.Int("axis", 0), c.Bool("new_axis", false)
	c.Out[0] = onnx.UnrankedType(e.DType)
	if !e.Ranked {
		return nil
	}
	dims := append([]onnx.Dim{}, e.Dims...)
	if stack {
		dims = append(dims, onnx.Dim{})
	}
	a, err := tensor.Axis(axis, len(dims))
	if err != nil {
		return err
	}
	if stack {
		copy(dims[a+1:], e.Dims[a:])
	}
	dims[a] = onnx.Dim{}
	c.Out[0] = onnx.TensorType(e.DType, dims...)
	return nil
}

func buildConcatFromSequence(b *BuildContext) (Kernel, error) {
	if !b.HasAttr("axis") {
		return nil, fmt.Errorf("attribute %q is missing", "axis")
	}
	axis, stack := b.Int("axis", 0), b.Bool("new_axis", false)
	return func(c *Call) error {
		s, err := c.sequence(0)
		if err != nil {
			return err
		}
		if len(s.Elems) == 0 {
			return fmt.Errorf("the sequence is empty")
		}
		w := &Call{P: c.P, Out: c.Out, Mem: c.Mem, Frame: c.Frame}
		for i, v := range s.Elems {
			t, ok := v.(*tensor.Tensor)
			if !ok {
				return fmt.Errorf("element %d is %v, want a tensor", i, v)
			}
			if stack {
				a, err := tensor.Axis(axis, t.Rank()+1)
				if err != nil {
					return err
				}
				shape := append([]int{}, t.Shape()[:a]...)
				shape = append(append(shape, 1), t.Shape()[a:]...)
				if t, err = t.Reshape(shape...); err != nil {
					return err
				}
			}
			w.In = append(w.In, t)
		}
		return concatKernel(axis)(w)
	}, nil
}
