package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// BitCast: output = the bits of input, taken as elements of the type that the
// attribute to says, which has as many bits.
//
//	input: T1[...]    output: T2[...], the same shape and storage
//
// T1, T2: every type but string. A byte other than 0 becomes the bool true.
//
// Spec: https://onnx.ai/onnx/operators/onnx__BitCast.html
func init() {
	register(&Op{
		Name: "BitCast",
		Versions: []Version{
			{Since: 26, In: N(1), Out: N(1), Infer: inferBitCast, Build: buildBitCast},
		},
	})
}

func inferBitCast(c *InferContext) error {
	t := c.In(0)
	t.Kind, t.DType = onnx.TensorKind, c.DType("to", tensor.Undefined)
	c.Out[0] = t
	return nil
}

func buildBitCast(b *BuildContext) (Kernel, error) {
	to := b.DType("to", tensor.Undefined)
	if to == tensor.Undefined {
		b.Fail("attribute \"to\" is missing")
	}
	return func(c *Call) error {
		x := c.T(0)
		if x == nil {
			return fmt.Errorf("input is absent")
		}
		if x.DType().Bits() != to.Bits() || x.DType() == tensor.String || to == tensor.String {
			return fmt.Errorf("input is %v, want a type of as many bits as %v", x.DType(), to)
		}
		data := x.Bytes()
		if to == tensor.Bool { // a Go bool must be 0 or 1
			data = make([]byte, len(data))
			for i, v := range x.Bytes() {
				data[i] = min(v, 1)
			}
		}
		y, err := tensor.FromBytes(to, x.Shape(), data, x)
		if err != nil {
			return err
		}
		c.SetOut(0, y)
		return nil
	}, nil
}
