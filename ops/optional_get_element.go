package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// OptionalGetElement: what the optional input holds; a tensor or sequence is
// passed on. An empty optional is an error.
//
//	input: optional(V) or V    output: V
//
// Spec: https://onnx.ai/onnx/operators/onnx__OptionalGetElement.html
func init() {
	register(&Op{
		Name: "OptionalGetElement",
		// 18 allowed tensors and sequences.
		Versions: []Version{{Since: 15, In: N(1), Out: N(1), Infer: inferOptionalGetElement, Build: buildOptionalGetElement}},
	})
}

func inferOptionalGetElement(c *InferContext) error {
	c.Out[0] = c.In(0)
	if c.In(0).Kind == onnx.OptionalKind {
		return inferElem(c)
	}
	return nil
}

func buildOptionalGetElement(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		v := c.In[0]
		if o, ok := v.(*tensor.Optional); ok {
			v = o.Elem
		}
		if v == nil {
			return fmt.Errorf("the optional is empty")
		}
		c.SetOut(0, v)
		return nil
	}, nil
}
