package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/tensor"
)

// StringConcat: Z = X followed by Y, element by element, with broadcasting.
//
//	X: string[...], Y: string[...]    Z: string[broadcast]
//
// Spec: https://onnx.ai/onnx/operators/onnx__StringConcat.html
func init() {
	register(&Op{
		Name:     "StringConcat",
		Versions: []Version{{Since: 20, In: N(2), Out: N(1), Infer: inferStringConcat, Build: buildStringConcat}},
	})
}

func inferStringConcat(c *InferContext) error { return inferBroadcastTo(c, tensor.String) }

// stringsOf returns input i, a tensor of strings.
func (c *Call) stringsOf(i int) ([]string, error) {
	t := c.T(i)
	if t == nil {
		return nil, fmt.Errorf("input %d is absent", i)
	}
	if t.DType() != tensor.String {
		return nil, unsupportedType(i, t.DType())
	}
	return tensor.Data[string](t), nil
}

func buildStringConcat(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		x, err := c.stringsOf(0)
		if err != nil {
			return err
		}
		y, err := c.stringsOf(1)
		if err != nil {
			return err
		}
		xs, ys := c.T(0).Shape(), c.T(1).Shape()
		shape, err := tensor.Broadcast(xs, ys)
		if err != nil {
			return err
		}
		out := tensor.Data[string](c.Output(0, tensor.String, shape...))
		if len(out) == 0 {
			return nil
		}
		o := odometer{shape: shape, as: tensor.BroadcastStrides(xs, shape), bs: tensor.BroadcastStrides(ys, shape)}
		o.seek(0)
		for i := range out {
			out[i] = x[o.a] + y[o.b]
			o.next()
		}
		return nil
	}, nil
}
