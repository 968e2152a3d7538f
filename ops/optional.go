package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Optional: an optional that holds input; without input, an empty one for
// values of the attribute type.
//
//	input: V, optional    output: optional(V)
//
// Spec: https://onnx.ai/onnx/operators/onnx__Optional.html
func init() {
	register(&Op{
		Name:     "Optional",
		Versions: []Version{{Since: 15, In: Arity{0, 1}, Out: N(1), Infer: inferOptional, Build: buildOptional}},
	})
}

func inferOptional(c *InferContext) error {
	e := c.Type("type")
	if c.Has(0) {
		e = c.In(0)
	}
	c.Out[0] = onnx.Type{Kind: onnx.OptionalKind, Elem: &e}
	return nil
}

func buildOptional(b *BuildContext) (Kernel, error) {
	b.Type("type")
	return func(c *Call) error {
		out := &tensor.Optional{}
		if c.Has(0) {
			out.Elem = c.In[0]
		}
		c.SetOut(0, out)
		return nil
	}, nil
}
