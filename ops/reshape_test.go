package ops_test

import (
	"slices"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestReshape(t *testing.T) {
	d := []float32{1, 2, 3, 4, 5, 6}
	x := F32([]int{2, 3}, d...)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Reshape", In: Vals(x, I64(nil, 3, 2)), Want: Vals(F32([]int{3, 2}, d...))},
		{Op: "Reshape", Opset: 5, In: Vals(x, I64(nil, -1)), Want: Vals(F32([]int{6}, d...))},
		{Op: "Reshape", In: Vals(x, I64(nil, 0, -1, 1)), Want: Vals(F32([]int{2, 3, 1}, d...))},
		{Op: "Reshape", In: Vals(F32([]int{1}, 7), I64([]int{0})), Want: Vals(F32([]int{}, 7))},
		{Op: "Reshape", In: Vals(F32([]int{0, 3}), I64(nil, 0, -1)), Want: Vals(F32([]int{0, 0}))},
		{Op: "Reshape", Attrs: a("allowzero", 1), In: Vals(F32([]int{0, 3}), I64(nil, 3, 0)), Want: Vals(F32([]int{3, 0}))},
		{Op: "Reshape", Attrs: a("allowzero", 1), In: Vals(F32([]int{0, 3}), I64(nil, -1, 0)), Want: Vals(x), Err: "-1 next to a 0"},
		{Op: "Reshape", Opset: 1, Attrs: a("shape", []int{0, -1, 3}, "consumed_inputs", []int{0}), In: Vals(x), Want: Vals(F32([]int{2, 1, 3}, d...))},
		{Op: "Reshape", In: Vals(x, I64(nil, -1, -1)), Want: Vals(x), Err: "more than one -1"},
		{Op: "Reshape", In: Vals(x, I64(nil, 4, -1)), Want: Vals(x), Err: "does not divide 6"},
		{Op: "Reshape", In: Vals(x, I64(nil, 4)), Want: Vals(x), Err: "4 elements, want 6"},
		{Op: "Reshape", In: Vals(x, I64(nil, 6, 1, 0)), Want: Vals(x), Err: "a 0 at 2"},
		{Op: "Reshape", In: Vals(x, I64(nil, -2, 3)), Want: Vals(x), Err: "dimension -2"},
	})
}

// inferChain infers nodes made by f and returns the type of what f returns.
func inferChain(t *testing.T, f func(b *ops.Builder) *onnx.Value) onnx.Type {
	t.Helper()
	b := ops.NewBuilder(onnx.NewGraph("test", map[string]int{"": Latest}))
	ints := map[*onnx.Value][]onnx.Dim{}
	b.Env.Ints = func(v *onnx.Value) ([]onnx.Dim, bool) {
		if v.From == nil {
			return nil, false
		}
		if d, ok := ints[v]; ok {
			return d, d != nil
		}
		env := b.Env
		_, vals, err := ops.InferNode(v.From, env)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.Index(v.From.Out, v)
		if i >= len(vals) {
			return nil, false
		}
		ints[v] = vals[i]
		return vals[i], vals[i] != nil
	}
	v := f(b)
	if b.Err() != nil {
		t.Fatal(b.Err())
	}
	return v.Type
}

// The chain that exporters write for x.view(x.shape[0], x.shape[1], -1, 8).
func TestReshapeInferChain(t *testing.T) {
	got := inferChain(t, func(b *ops.Builder) *onnx.Value {
		x := b.G.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Name("S"), onnx.Size(32)))
		dim := func(i int64) *onnx.Value {
			s := b.Op("Shape", nil, x)
			g := b.Op("Gather", onnx.NewAttrs("axis", 0), s, b.Const(tensor.Scalar(i)))
			return b.Op("Unsqueeze", nil, g, b.Ints(0))
		}
		shape := b.Op("Concat", onnx.NewAttrs("axis", 0), dim(0), dim(1), b.Ints(-1), b.Ints(8))
		return b.Op("Reshape", nil, x, shape)
	})
	if s := got.String(); s != "float32[N,S,4,8]" {
		t.Errorf("inferred %s", s)
	}
}

// Sizes that are computed: x.view(N*S, C/heads), and torch's floor division of
// sizes as integers.
func TestReshapeInferArithmetic(t *testing.T) {
	got := inferChain(t, func(b *ops.Builder) *onnx.Value {
		x := b.G.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Name("S"), onnx.Size(32)))
		shape := b.Op("Shape", nil, x)
		dim := func(i int64) *onnx.Value {
			return b.Op("Gather", onnx.NewAttrs("axis", 0), shape, b.Const(tensor.Scalar(i)))
		}
		vec := func(v *onnx.Value) *onnx.Value { return b.Op("Unsqueeze", nil, v, b.Ints(0)) }
		rows := b.Op("Mul", nil, dim(0), dim(1))
		heads := b.Op("Div", nil, dim(2), b.Const(tensor.Scalar(int64(8))))
		return b.Op("Reshape", nil, x, b.Op("Concat", onnx.NewAttrs("axis", 0), vec(rows), vec(heads), b.Ints(-1)))
	})
	if s := got.String(); s != "float32[N*S,4,8]" {
		t.Errorf("inferred %s", s)
	}
}

func TestReshapeGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Reshape", In: Vals(Normal(1, 2, 6), I64([]int{3}, 0, 3, -1)), Const: []int{1}},
		{Op: "Reshape", In: Vals(Normal(1, 2, 6), I64([]int{1}, -1))},
	})
}
