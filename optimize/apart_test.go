package optimize

import (
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// TestApart runs all passes over a layer of a transformer in the form that ONNX
// Runtime's optimizer gives it, and looks for what the plain form becomes.
func TestApart(t *testing.T) {
	const ms = "com.microsoft"
	heads := func(b *ops.Builder, v *onnx.Value) *onnx.Value {
		return b.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), b.Op("Reshape", nil, v, b.Ints(2, 6, 2, 4)))
	}
	layer := func(b *ops.Builder) {
		x := in(b, "x", 2, 6, 8)
		p := func(v *onnx.Value) *onnx.Value {
			return b.Op("Add", nil, b.Op("MatMul", nil, v, floats(b, 8, 8)), floats(b, 8))
		}
		s := b.Ops(ms, "FusedMatMul", onnx.NewAttrs("transB", 1, "alpha", 0.5), 1, heads(b, p(x)), heads(b, p(x)))[0]
		y := b.Op("MatMul", nil, b.Op("Softmax", onnx.NewAttrs("axis", -1), s), heads(b, p(x)))
		y = b.Op("Reshape", nil, b.Op("Transpose", onnx.NewAttrs("perm", []int{0, 2, 1, 3}), y), b.Ints(2, 6, 8))
		n := b.Ops(ms, "SkipLayerNormalization", onnx.NewAttrs("epsilon", 1e-5), 4, b.Op("MatMul", nil, y, floats(b, 8, 8)), x, floats(b, 8), floats(b, 8), floats(b, 8))
		g := b.Ops(ms, "FusedGemm", onnx.NewAttrs("activation", "Relu"), 1, b.Op("Reshape", nil, n[0], b.Ints(-1, 8)), floats(b, 8, 8), floats(b, 8))[0]
		r := b.Ops(ms, "SkipSimplifiedLayerNormalization", nil, 1, n[3], b.Op("MatMul", nil, b.Op("Reshape", nil, g, b.Ints(2, 6, 8)), floats(b, 8, 8)), floats(b, 8))[0]
		ret(b, r)
	}
	before, m := graphModel(t, 20, layer), graphModel(t, 20, layer)
	if _, err := Run(m, Machine, Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, n := range m.Graph.Nodes {
		count[n.Op]++
	}
	for op, want := range map[string]int{"Attention": 1, "LayerNormalization": 1, "RMSNormalization": 1, "MatMul": 4, "Add": 0, "Relu": 0,
		"FusedMatMul": 0, "FusedGemm": 0, "SkipLayerNormalization": 0, "SkipSimplifiedLayerNormalization": 0} {
		if count[op] != want {
			t.Errorf("%d × %s, want %d: %v", count[op], op, want, count)
		}
	}
	same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(1, 2)))
}
