package ops

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
)

// SequenceConstruct: the sequence of the inputs.
//
//	inputs: T[...]    output_sequence: seq(T)
//
// Spec: https://onnx.ai/onnx/operators/onnx__SequenceConstruct.html
func init() {
	register(&Op{
		Name:     "SequenceConstruct",
		Versions: []Version{{Since: 11, In: Arity{1, Many}, Out: N(1), Infer: inferSequenceConstruct, Build: buildSequenceConstruct}},
	})
}

func inferSequenceConstruct(c *InferContext) error {
	e := c.In(0)
	for i := 1; i < c.NumIn(); i++ {
		e = commonType(e, c.In(i))
	}
	c.Out[0] = sequenceOf(e)
	return nil
}

func buildSequenceConstruct(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		d := sequenceDType(c.In)
		for i, v := range c.In {
			if v == nil {
				return fmt.Errorf("input %d is absent", i)
			}
			if err := checkSame(d, i, v); err != nil {
				return err
			}
		}
		c.SetOut(0, &tensor.Sequence{Elems: slices.Clone(c.In), DType: d})
		return nil
	}, nil
}
