package ops

import "github.com/gneiss-run/gneiss/onnx"

// Identity: output = input, of any type.
//
//	input: V    output: V
//
// Spec: https://onnx.ai/onnx/operators/onnx__Identity.html
func init() {
	register(&Op{
		Name: "Identity",
		Versions: []Version{
			// 13 and later only widen the types.
			{Since: 1, In: N(1), Out: N(1), Infer: inferIdentity, Build: buildIdentity},
		},
	})
}

func gradIdentity(c *GradContext) []*onnx.Value { return []*onnx.Value{c.DOut[0]} }

func inferIdentity(c *InferContext) error {
	c.Out[0] = c.In(0)
	if v, ok := c.KnownInts(0); ok {
		c.SetInts(0, v)
	}
	return nil
}

func buildIdentity(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		c.SetOut(0, c.In[0])
		return nil
	}, nil
}
