package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Size: size = number of elements of data.
//
//	data: T[...]    size: int64[]
//
// Spec: https://onnx.ai/onnx/operators/onnx__Size.html
func init() {
	register(&Op{
		Name:     "Size",
		Versions: []Version{{Since: 1, In: N(1), Out: N(1), Infer: inferSize, Build: buildSize}},
	})
}

func inferSize(c *InferContext) error {
	c.setRank(0, tensor.Int64, 0)
	if x := c.In(0); x.Ranked {
		c.SetInts(0, []onnx.Dim{productOf(x.Dims)})
	}
	return nil
}

func buildSize(*BuildContext) (Kernel, error) {
	return func(c *Call) error {
		tensor.Data[int64](c.Output(0, tensor.Int64))[0] = int64(c.T(0).Len())
		return nil
	}, nil
}
