package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// SequenceMap: runs body once for each element of input_sequence. A further
// input that is a sequence gives its element of the same index, one that is a
// tensor gives itself each time.
//
//	input_sequence: seq(T)    additional_inputs: seq(V) or V…    out_sequence: seq(S)…
//
// Sequences must be of the same length.
//
// Spec: https://onnx.ai/onnx/operators/onnx__SequenceMap.html
func init() {
	register(&Op{
		Name: "SequenceMap",
		Versions: []Version{
			{Since: 17, In: Arity{1, Many}, Out: Arity{1, Many}, Infer: inferSequenceMap, Build: buildSequenceMap},
		},
	})
}

func inferSequenceMap(c *InferContext) error {
	g, err := bodyOf(&c.attrs, "body", c.NumIn(), -1)
	if err != nil {
		return err
	}
	if len(g.Outputs) < len(c.Out) {
		return fmt.Errorf("attribute \"body\" has %d outputs, want %d", len(g.Outputs), len(c.Out))
	}
	in := make([]onnx.Type, c.NumIn())
	for i := range in {
		t := c.In(i)
		if t.Kind == onnx.SequenceKind {
			e := onnx.Type{}
			if t.Elem != nil {
				e = *t.Elem
			}
			t = e
		}
		in[i] = t
	}
	out, err := c.Body(g, in)
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	for i := range c.Out {
		e := out[i]
		c.Out[i] = onnx.Type{Kind: onnx.SequenceKind, Elem: &e}
	}
	return nil
}

func buildSequenceMap(b *BuildContext) (Kernel, error) {
	body, err := b.Body("body")
	if err != nil {
		return nil, err
	}
	types := body.Out()
	if len(body.In()) != b.NumIn() || len(types) < len(b.Node.Out) {
		return nil, fmt.Errorf("body has %d inputs and %d outputs, want %d and %d", len(body.In()), len(types), b.NumIn(), len(b.Node.Out))
	}
	return func(c *Call) error {
		first, ok := c.In[0].(*tensor.Sequence)
		if !ok {
			return fmt.Errorf("input_sequence is %v, want a sequence", c.In[0])
		}
		n := len(first.Elems)
		for i, v := range c.In {
			if s, ok := v.(*tensor.Sequence); ok && len(s.Elems) != n {
				return fmt.Errorf("input %d is a sequence of %d, want %d", i, len(s.Elems), n)
			}
		}
		outs := make([]*tensor.Sequence, len(c.Out))
		for j := range outs {
			outs[j] = &tensor.Sequence{Elems: make([]tensor.Value, 0, n), DType: types[j].DType}
		}
		args, res := make([]tensor.Value, len(c.In)), make([]tensor.Value, len(outs))
		for i := range n {
			for k, v := range c.In {
				args[k] = v
				if s, ok := v.(*tensor.Sequence); ok {
					args[k] = s.Elems[i]
				}
			}
			if err := runBody(c, body, args, res); err != nil {
				return err
			}
			for j, s := range outs {
				if t, ok := res[j].(*tensor.Tensor); ok {
					s.DType = t.DType()
				}
				s.Elems = append(s.Elems, res[j])
			}
		}
		for j, s := range outs {
			c.SetOut(j, s)
		}
		return nil
	}, nil
}
