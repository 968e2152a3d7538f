package ops

// SequenceAt: tensor = element position of input_sequence. Negative positions
// count from the end.
//
//	input_sequence: seq(T), position: int32 or int64[]    tensor: T[...]
//
// Spec: https://onnx.ai/onnx/operators/onnx__SequenceAt.html
func init() {
	register(&Op{
		Name:     "SequenceAt",
		Versions: []Version{{Since: 11, In: N(2), Out: N(1), Infer: inferElem, Build: buildSequenceAt}},
	})
}

// inferElem gives output 0 the type of what input 0 holds.
func inferElem(c *InferContext) error {
	c.Out[0] = elemOf(c.In(0))
	return nil
}

func buildSequenceAt(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		s, err := c.sequence(0)
		if err != nil {
			return err
		}
		p, err := c.position(1, len(s.Elems), 0, 0)
		if err != nil {
			return err
		}
		c.SetOut(0, s.Elems[p])
		return nil
	}, nil
}
