package optimize

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestSelections selects behind a product that is followed by one operator or more, and looks for a
// product of the selected rows alone.
func TestSelections(t *testing.T) {
	at := func(b *ops.Builder, v *onnx.Value, axis, i int) *onnx.Value {
		return b.Op("Gather", onnx.NewAttrs("axis", axis), v, b.Const(tensor.Scalar(int64(i))))
	}
	first := func(b *ops.Builder, v *onnx.Value) *onnx.Value { return at(b, v, 1, 0) }
	product := func(b *ops.Builder) *onnx.Value { return b.Op("MatMul", nil, in(b, "x", 2, 6, 4), floats(b, 4, 8)) }
	norm := func(b *ops.Builder, v *onnx.Value) *onnx.Value {
		return b.Op("LayerNormalization", nil, v, floats(b, 8), floats(b, 8))
	}
	attention := func(b *ops.Builder, as onnx.Attrs, mask ...*onnx.Value) *onnx.Value {
		x := in(b, "x", 2, 6, 8)
		p := func() *onnx.Value { return b.Op("MatMul", nil, x, floats(b, 8, 8)) }
		as = append(as, onnx.NewAttrs("q_num_heads", 2, "kv_num_heads", 2)...)
		return b.Op("Attention", as, append([]*onnx.Value{p(), p(), p()}, mask...)...)
	}
	const few = 2 // rows that the products are left with are 2, of 12
	tests := []struct {
		name  string
		rows  int // of the smallest product
		build func(b *ops.Builder) *onnx.Value
	}{
		{"first", few, func(b *ops.Builder) *onnx.Value { return first(b, product(b)) }},
		{"last", few, func(b *ops.Builder) *onnx.Value { return at(b, product(b), 1, -1) }},
		{"vector of indices", few, func(b *ops.Builder) *onnx.Value {
			return b.Op("Gather", onnx.NewAttrs("axis", -2), product(b), b.Ints(3))
		}},
		{"slice", 2 * few, func(b *ops.Builder) *onnx.Value {
			return b.Op("Slice", nil, product(b), b.Ints(-3), b.Ints(-1), b.Ints(1))
		}},
		{"most of it", 12, func(b *ops.Builder) *onnx.Value {
			return b.Op("Slice", nil, product(b), b.Ints(1), b.Ints(6), b.Ints(1))
		}},
		{"columns", 12, func(b *ops.Builder) *onnx.Value { return at(b, product(b), 2, 1) }},
		{"batch", 6, func(b *ops.Builder) *onnx.Value { return at(b, product(b), 0, 1) }},
		{"elementwise", few, func(b *ops.Builder) *onnx.Value { return first(b, b.Op("Tanh", nil, product(b))) }},
		{"terms of all kinds", few, func(b *ops.Builder) *onnx.Value {
			v := b.Op("Add", nil, product(b), floats(b, 8))
			v = b.Op("Mul", nil, in(b, "y", 2, 6, 1), v)
			v = b.Op("Sub", nil, b.Op("Max", nil, v, in(b, "z", 6, 8), floats(b)), floats(b, 2, 1, 8))
			return first(b, b.Op("Where", nil, inOf(b, tensor.Bool, "c", 1, 6, 8), v, floats(b, 1, 1, 1)))
		}},
		{"leading dimension that an operand lacks", 6, func(b *ops.Builder) *onnx.Value {
			return at(b, b.Op("Add", nil, product(b), in(b, "z", 6, 8)), 0, 0)
		}},
		{"norm", few, func(b *ops.Builder) *onnx.Value { return first(b, norm(b, product(b))) }},
		{"norm along it", 12, func(b *ops.Builder) *onnx.Value {
			return first(b, b.Op("LayerNormalization", onnx.NewAttrs("axis", 1), product(b), floats(b, 6, 8)))
		}},
		{"softmax", few, func(b *ops.Builder) *onnx.Value { return first(b, b.Op("Softmax", nil, product(b))) }},
		{"softmax along it", 12, func(b *ops.Builder) *onnx.Value {
			return first(b, b.Op("Softmax", onnx.NewAttrs("axis", -2), product(b)))
		}},
		{"transposed", few, func(b *ops.Builder) *onnx.Value {
			return at(b, b.Op("Transpose", onnx.NewAttrs("perm", []int{1, 2, 0}), product(b)), 0, 2)
		}},
		{"reshaped", few, func(b *ops.Builder) *onnx.Value {
			return first(b, b.Op("Tanh", nil, b.Op("Reshape", nil, product(b), b.Ints(2, 6, 2, 4))))
		}},
		{"split by reshaping", 12, func(b *ops.Builder) *onnx.Value {
			return at(b, b.Op("Tanh", nil, b.Op("Reshape", nil, product(b), b.Ints(2, 3, 2, 8))), 2, 0)
		}},
		{"gemm", 1, func(b *ops.Builder) *onnx.Value {
			y := b.Op("Gemm", onnx.NewAttrs("transA", 1, "alpha", 0.5), in(b, "x", 4, 5), floats(b, 4, 3), in(b, "c", 5, 3))
			return at(b, b.Op("Neg", nil, y), 0, 2)
		}},
		{"concat", few, func(b *ops.Builder) *onnx.Value {
			return first(b, b.Op("Concat", onnx.NewAttrs("axis", 2), product(b), in(b, "y", 2, 6, 3)))
		}},
		{"concat along it", 12, func(b *ops.Builder) *onnx.Value {
			return first(b, b.Op("Tanh", nil, b.Op("Concat", onnx.NewAttrs("axis", 1), product(b), in(b, "y", 2, 3, 8))))
		}},
		{"rows of a table", few, func(b *ops.Builder) *onnx.Value {
			i := b.Op("Clip", nil, inOf(b, tensor.Int64, "i", 2, 6), b.Const(tensor.Scalar(int64(0))), b.Const(tensor.Scalar(int64(4))))
			return first(b, b.Op("MatMul", nil, b.Op("Gather", nil, floats(b, 5, 4), i), floats(b, 4, 8)))
		}},
		{"residuals", few, func(b *ops.Builder) *onnx.Value {
			v := product(b)
			for range 20 { // more than there are rounds
				v = b.Op("Add", nil, v, b.Op("MatMul", nil, b.Op("Tanh", nil, norm(b, v)), floats(b, 8, 8)))
			}
			return first(b, v)
		}},
		{"read twice alike", few, func(b *ops.Builder) *onnx.Value {
			v := b.Op("Tanh", nil, product(b))
			return b.Op("Add", nil, first(b, v), b.Op("Neg", nil, first(b, v)))
		}},
		{"read twice", 12, func(b *ops.Builder) *onnx.Value {
			v := b.Op("Tanh", nil, product(b))
			return b.Op("Add", nil, first(b, v), at(b, v, 1, 1))
		}},
		{"output too", 12, func(b *ops.Builder) *onnx.Value {
			v := b.Op("Tanh", nil, product(b))
			ret(b, v)
			return first(b, v)
		}},
		{"attention", few, func(b *ops.Builder) *onnx.Value { return first(b, attention(b, nil)) }},
		{"attention with masks", few, func(b *ops.Builder) *onnx.Value {
			return first(b, attention(b, nil, b.Op("Add", nil, in(b, "m", 2, 1, 6, 6), in(b, "k", 6))))
		}},
		{"attention with a mask of keys", few, func(b *ops.Builder) *onnx.Value {
			return first(b, attention(b, nil, in(b, "k", 2, 1, 1, 6)))
		}},
		{"causal attention, last", few, func(b *ops.Builder) *onnx.Value {
			return at(b, attention(b, onnx.NewAttrs("is_causal", 1)), 1, -1)
		}},
		{"causal attention, first", 12, func(b *ops.Builder) *onnx.Value {
			return first(b, attention(b, onnx.NewAttrs("is_causal", 1)))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := graphModel(t, 24, func(b *ops.Builder) {
				if v := tt.build(b); v != nil {
					b.G.Outputs = append(b.G.Outputs, v)
				}
			})
			before := m.Clone()
			if _, err := Run(m, Portable, Options{Check: true}); err != nil {
				t.Fatal(err)
			}
			same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(3, 5)))
			if left, err := Leftovers(m, Portable, Options{}); err != nil || len(left) > 0 {
				t.Errorf("left over: %q, %v", left, err)
			}
			least := 1 << 30
			for _, n := range m.Graph.Nodes {
				if n.Op != "MatMul" && n.Op != "Gemm" {
					continue
				}
				rows := 1
				dims, _ := n.Out[0].Type.Static()
				for _, d := range dims[:len(dims)-1] {
					rows *= d
				}
				least = min(least, rows)
			}
			if least != tt.rows {
				t.Errorf("the smallest product has %d rows, want %d:\n%s", least, tt.rows, graphText(m))
			}
		})
	}
}

// The sizes of exported text models are names.
func TestSelectionsOfNamedSizes(t *testing.T) {
	for _, i := range []int{0, 2, -1} {
		m := graphModel(t, 21, func(b *ops.Builder) {
			x := b.G.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("batch"), onnx.Name("time"), onnx.Size(8)))
			v := b.Op("MatMul", nil, x, floats(b, 8, 8))
			v = b.Op("Transpose", perms(0, 2, 1, 3), b.Op("Reshape", nil, v, b.Ints(0, 0, 2, 4)))
			v = b.Op("Reshape", nil, b.Op("Transpose", perms(0, 2, 1, 3), v), b.Ints(0, -1, 8))
			v = b.Op("LayerNormalization", nil, b.Op("Add", nil, v, x), floats(b, 8))
			ret(b, b.Op("Gather", onnx.NewAttrs("axis", 1), v, b.Const(tensor.Scalar(int64(i)))))
		})
		before := m.Clone()
		if _, err := Run(m, Portable, Options{Check: true}); err != nil {
			t.Fatal(err)
		}
		found := false
		for _, n := range m.Graph.Nodes {
			if n.Op == "MatMul" {
				found = true
				if got := n.Out[0].Type.String(); got != "float32[batch,1,8]" {
					t.Errorf("index %d: the product is %s", i, got)
				}
			}
		}
		if got := m.Graph.Outputs[0].Type.String(); !found || got != "float32[batch,8]" {
			t.Errorf("index %d: the output is %s:\n%s", i, got, graphText(m))
		}
		x := tensor.New(tensor.Float32, 3, 5, 8)
		for j, d := 0, tensor.Data[float32](x); j < len(d); j++ {
			d[j] = float32(j%13) - 6
		}
		want, got := eval(t, before.Graph, []tensor.Value{x}), eval(t, m.Graph, []tensor.Value{x})
		if err := tensor.Compare(got[0], want[0], tensor.Tolerance{Rel: 1e-5, Abs: 1e-5}); err != nil {
			t.Errorf("index %d: %v", i, err)
		}
	}
}

// A Slice of named sizes may turn out empty.
func TestSelectionsOfUnknownEnds(t *testing.T) {
	for _, ends := range [][2]int{{-1, -1}, {-1, 0}, {-1, 3}, {-1, math.MaxInt32}, {0, 1}, {2, 3}, {-3, -2}, {-2, 9}} {
		m := graphModel(t, 21, func(b *ops.Builder) {
			x := b.G.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(2), onnx.Name("time"), onnx.Size(8)))
			v := b.Op("Tanh", nil, b.Op("MatMul", nil, x, floats(b, 8, 8)))
			ret(b, b.Op("Slice", nil, v, b.Ints(ends[0]), b.Ints(ends[1]), b.Ints(1)))
		})
		before := m.Clone()
		if _, err := Run(m, Portable, Options{Check: true}); err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 2, 3, 5} {
			x := tensor.New(tensor.Float32, 2, n, 8)
			for j, d := 0, tensor.Data[float32](x); j < len(d); j++ {
				d[j] = float32(j%13) - 6
			}
			want, got := eval(t, before.Graph, []tensor.Value{x}), eval(t, m.Graph, []tensor.Value{x})
			if err := tensor.Compare(got[0], want[0], tensor.Tolerance{Rel: 1e-5, Abs: 1e-5}); err != nil {
				t.Errorf("[%d:%d] of %d: %v", ends[0], ends[1], n, err)
			}
		}
	}
}
