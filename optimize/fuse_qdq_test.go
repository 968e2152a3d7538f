package optimize

import (
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Weights of any type that no operator takes as they are become constants, and
// convolutions of bytes take weights of 4 bits.
func TestQuantizedWeights(t *testing.T) {
	weights := func(b *ops.Builder, d tensor.DType, as onnx.Attrs, scales []int, shape ...int) *onnx.Value {
		s := tensor.New(tensor.Float32, scales...)
		for i := range tensor.Data[float32](s) {
			tensor.Data[float32](s)[i] = 0.5
		}
		w := tensor.New(d, shape...)
		for i := range w.Bytes() {
			w.Bytes()[i] = byte(i*11 + 1)
		}
		return b.Op("DequantizeLinear", as, b.Const(w), b.Const(s))
	}
	for name, c := range map[string]struct {
		build func(b *ops.Builder) *onnx.Value
		want  string
	}{
		"blocks of outputs": {func(b *ops.Builder) *onnx.Value {
			w := weights(b, tensor.Int4, onnx.NewAttrs("axis", 0, "block_size", 16), []int{2, 64}, 32, 64)
			return b.Op("Gemm", onnx.NewAttrs("transB", 1), in(b, "x", 8, 64), w)
		}, ""},
		"float8": {func(b *ops.Builder) *onnx.Value {
			return b.Op("MatMul", nil, in(b, "x", 8, 64), weights(b, tensor.Float8E4M3FN, nil, nil, 64, 32))
		}, ""},
		"convolution of floats": {func(b *ops.Builder) *onnx.Value {
			return b.Op("Conv", nil, in(b, "x", 1, 16, 8, 8), weights(b, tensor.Uint4, nil, nil, 8, 16, 3, 3))
		}, ""},
		"convolution of bytes": {func(b *ops.Builder) *onnx.Value {
			y := b.Op("Conv", nil, fakeQuant(b, in(b, "x", 1, 16, 8, 8), 0.03, uint8(128)), weights(b, tensor.Int4, onnx.NewAttrs("axis", 0), []int{8}, 8, 16, 3, 3))
			return fakeQuant(b, y, 0.5, uint8(128))
		}, "x.QLinearConv"},
	} {
		m := graphModel(t, 21, func(b *ops.Builder) { ret(b, c.build(b)) })
		if _, err := Run(m, Machine, Options{}); err != nil {
			t.Fatal(name, err)
		}
		has := func(op string) bool {
			return slices.ContainsFunc(m.Graph.Nodes, func(n *onnx.Node) bool { return n.Domain == "" && n.Op == op || n.Domain+"."+n.Op == op })
		}
		if c.want == "" && has("DequantizeLinear") || c.want != "" && !has(c.want) {
			t.Errorf("%s: %v", name, m.Graph.Nodes)
		}
	}
}
