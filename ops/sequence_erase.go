package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// SequenceErase: input_sequence without element position (default: the last).
// Negative positions count from the end.
//
//	input_sequence: seq(T), position: int32 or int64[], optional    output_sequence: seq(T)
//
// Spec: https://onnx.ai/onnx/operators/onnx__SequenceErase.html
func init() {
	register(&Op{
		Name:     "SequenceErase",
		Versions: []Version{{Since: 11, In: Arity{1, 2}, Out: N(1), Infer: inferSame, Build: buildSequenceErase}},
	})
}

func buildSequenceErase(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		s, err := c.sequence(0)
		if err != nil {
			return err
		}
		n := len(s.Elems)
		if n == 0 {
			return fmt.Errorf("the sequence is empty")
		}
		p, err := c.position(1, n, n-1, 0)
		if err != nil {
			return err
		}
		c.SetOut(0, &tensor.Sequence{Elems: slices.Delete(slices.Clone(s.Elems), p, p+1), DType: s.DType})
		return nil
	}, nil
}
