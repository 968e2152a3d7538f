package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// If: the outputs of then_branch if cond is true, else those of else_branch.
// Only the graph that is chosen runs; both read values of the graphs around
// them.
//
//	cond: bool, one element    outputs: V…, any types; the branches may differ in shape
//
// Spec: https://onnx.ai/onnx/operators/onnx__If.html
func init() {
	register(&Op{
		Name: "If",
		Versions: []Version{
			// 11 lets the branches differ in shape; later versions only widen the types.
			{Since: 1, In: N(1), Out: Arity{1, Many}, Infer: inferIf, Build: buildIf},
		},
	})
}

func inferIf(c *InferContext) error {
	var types [2][]onnx.Type
	for i, name := range []string{"then_branch", "else_branch"} {
		g, err := bodyOf(&c.attrs, name, 0, -1)
		if err != nil {
			return err
		}
		if len(g.Outputs) < len(c.Out) {
			return fmt.Errorf("attribute %q has %d outputs, want %d", name, len(g.Outputs), len(c.Out))
		}
		if types[i], err = c.Body(g, nil); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if t := c.Const(0); t != nil && t.DType() == tensor.Bool && t.Len() == 1 {
		taken := types[1]
		if tensor.Data[bool](t)[0] {
			taken = types[0]
		}
		copy(c.Out, taken)
		return nil
	}
	for i := range c.Out {
		c.Out[i] = mergeTypes(types[0][i], types[1][i])
	}
	return nil
}

func buildIf(b *BuildContext) (Kernel, error) {
	then, err := b.Body("then_branch")
	if err != nil {
		return nil, err
	}
	other, err := b.Body("else_branch")
	if err != nil {
		return nil, err
	}
	return func(c *Call) error {
		res := State[nested](c).results(len(c.Out))
		defer clear(res)
		cond, err := oneBool(c.In[0], "cond")
		if err != nil {
			return err
		}
		body := other
		if cond {
			body = then
		}
		if err := runBody(c, body, nil, res); err != nil {
			return err
		}
		for i, v := range res {
			if err := c.Pass(i, v); err != nil {
				return err
			}
		}
		return nil
	}, nil
}
