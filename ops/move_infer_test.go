package ops_test

import (
	"fmt"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Inference of any operator must not panic, whatever is known of its inputs.
func TestInferNeverPanics(t *testing.T) {
	types := []onnx.Type{
		{},
		onnx.UnrankedType(tensor.Float32),
		onnx.UnrankedType(tensor.Undefined),
		onnx.TensorType(tensor.Int64),
		onnx.TensorType(tensor.Int64, onnx.Size(0)),
		onnx.TensorType(tensor.Int64, onnx.Size(2)),
		onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Dim{}),
		onnx.TensorType(tensor.Float32, onnx.Sizes(1, 4, 4, 4)...),
		{Kind: onnx.SequenceKind},
		{Kind: onnx.OptionalKind},
	}
	consts := []*tensor.Tensor{nil, tensor.Of([]int64{1, -1}), tensor.Of([]int64{}), tensor.Scalar(int64(-7)), tensor.Of([]float32{2})}
	for _, o := range ops.Standard().All() {
		for _, v := range o.Versions {
			for _, ty := range types {
				for k, c := range consts {
					for n := v.In.Min; n <= min(v.In.Max, v.In.Min+3); n++ {
						g := onnx.NewGraph("g", map[string]int{o.Domain: v.Since})
						in := make([]*onnx.Value, n)
						for i := range in {
							switch {
							case c != nil && (i > 0 || n == 1):
								in[i] = g.NewConst("", c)
							case k == 0 && i == 2:
							default:
								in[i] = g.AddInput(fmt.Sprint("x", i), ty)
							}
						}
						node := g.NewNodeIn(o.Domain, o.Name, nil, in, max(1, v.Out.Min))
						func() {
							defer func() {
								if r := recover(); r != nil {
									t.Errorf("%s.%s since %d, inputs %v, constants %v: %v", o.Domain, o.Name, v.Since, ty, c, r)
								}
							}()
							ops.InferNode(node, ops.InferEnv{})
						}()
					}
				}
			}
		}
	}
}
