package ops

import "github.com/gneiss-run/gneiss/tensor"

// SequenceLength: length = number of elements of input_sequence.
//
//	input_sequence: seq(T)    length: int64[]
//
// Spec: https://onnx.ai/onnx/operators/onnx__SequenceLength.html
func init() {
	register(&Op{
		Name:     "SequenceLength",
		Versions: []Version{{Since: 11, In: N(1), Out: N(1), Infer: inferSequenceLength, Build: buildSequenceLength}},
	})
}

func inferSequenceLength(c *InferContext) error {
	c.setRank(0, tensor.Int64, 0)
	return nil
}

func buildSequenceLength(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		s, err := c.sequence(0)
		if err != nil {
			return err
		}
		tensor.Data[int64](c.Output(0, tensor.Int64))[0] = int64(len(s.Elems))
		return nil
	}, nil
}
