package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// SequenceInsert: input_sequence with tensor before element position (default:
// at the end). Negative positions count from the end.
//
//	input_sequence: seq(T), tensor: T[...], position: int32 or int64[], optional    output_sequence: seq(T)
//
// Spec: https://onnx.ai/onnx/operators/onnx__SequenceInsert.html
func init() {
	register(&Op{
		Name:     "SequenceInsert",
		Versions: []Version{{Since: 11, In: Arity{2, 3}, Out: N(1), Infer: inferSequenceInsert, Build: buildSequenceInsert}},
	})
}

func inferSequenceInsert(c *InferContext) error {
	// The elements that are there may have other shapes: nothing is known of
	// them where the sequence's type says nothing.
	c.Out[0] = sequenceOf(commonType(elemOf(c.In(0)), c.In(1)))
	return nil
}

func buildSequenceInsert(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		s, err := c.sequence(0)
		if err != nil {
			return err
		}
		if !c.Has(1) {
			return fmt.Errorf("input 1 is absent")
		}
		if err := checkSame(s.DType, 1, c.In[1]); err != nil {
			return err
		}
		n := len(s.Elems)
		p, err := c.position(2, n, n, 1)
		if err != nil {
			return err
		}
		out := &tensor.Sequence{Elems: inserted(s.Elems, p, c.In[1]), DType: s.DType}
		if out.DType == tensor.Undefined {
			out.DType = sequenceDType(out.Elems)
		}
		c.SetOut(0, out)
		return nil
	}, nil
}
