package ops

import "github.com/gneiss-run/gneiss/tensor"

// OptionalHasElement: whether input is given and is not an empty optional.
//
//	input: optional(V) or V, optional    output: bool[]
//
// Spec: https://onnx.ai/onnx/operators/onnx__OptionalHasElement.html
func init() {
	register(&Op{
		Name: "OptionalHasElement",
		Versions: []Version{
			{Since: 15, In: N(1), Out: N(1), Infer: inferOptionalHasElement, Build: buildOptionalHasElement},
			// 18 allowed tensors, sequences and no input.
			{Since: 18, In: Arity{0, 1}, Out: N(1), Infer: inferOptionalHasElement, Build: buildOptionalHasElement},
		},
	})
}

func inferOptionalHasElement(c *InferContext) error {
	c.setRank(0, tensor.Bool, 0)
	return nil
}

func buildOptionalHasElement(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		has := c.Has(0)
		if has {
			if o, ok := c.In[0].(*tensor.Optional); ok {
				has = o.Elem != nil
			}
		}
		tensor.Data[bool](c.Output(0, tensor.Bool))[0] = has
		return nil
	}, nil
}
