package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// SequenceEmpty: a sequence of no tensors, of element type dtype (default float32).
//
//	output: seq(T)
//
// Spec: https://onnx.ai/onnx/operators/onnx__SequenceEmpty.html
func init() {
	register(&Op{
		Name:     "SequenceEmpty",
		Versions: []Version{{Since: 11, In: N(0), Out: N(1), Infer: inferSequenceEmpty, Build: buildSequenceEmpty}},
	})
}

func inferSequenceEmpty(c *InferContext) error {
	c.Out[0] = sequenceOf(onnx.UnrankedType(c.DType("dtype", tensor.Float32)))
	return nil
}

func buildSequenceEmpty(b *BuildContext) (Kernel, error) {
	d := b.DType("dtype", tensor.Float32)
	return func(c *Call) error {
		c.SetOut(0, &tensor.Sequence{DType: d})
		return nil
	}, nil
}
