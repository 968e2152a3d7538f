package optimize

import (
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestScatters has scatters as exporters write them for assignments to slices, and some that are none.
func TestScatters(t *testing.T) {
	tuples := func(shape []int, v ...int64) func(*ops.Builder) *onnx.Value {
		return func(b *ops.Builder) *onnx.Value { return b.Const(tensor.Of(v, shape...)) }
	}
	nd := func(as onnx.Attrs, indices func(*ops.Builder) *onnx.Value, updates ...int) func(*ops.Builder) {
		return func(b *ops.Builder) {
			ret(b, b.Op("Neg", nil, b.Op("ScatterND", as, b.Op("Abs", nil, in(b, "x", 3, 4)), indices(b), in(b, "u", updates...))))
		}
	}
	elements := func(as onnx.Attrs, indices func(*ops.Builder) *onnx.Value, updates ...int) func(*ops.Builder) {
		return func(b *ops.Builder) {
			ret(b, b.Op("ScatterElements", as, in(b, "x", 3, 4), indices(b), in(b, "u", updates...)))
		}
	}
	for name, c := range map[string]struct {
		build func(*ops.Builder)
		want  []string
	}{
		"columns of rows":         {nd(nil, tuples([]int{2, 2, 2}, 2, 0, 2, 1, 0, 0, 0, 1), 2, 2), []string{"Abs", "ScatterGrid", "Neg"}},
		"indices below 0":         {nd(nil, tuples([]int{1, 2, 2}, -1, -4, -1, -2), 1, 2), []string{"Abs", "ScatterGrid", "Neg"}},
		"all":                     {nd(nil, tuples([]int{3, 1}, 0, 1, 2), 3, 4), []string{"Neg"}},
		"all, in another order":   {nd(nil, tuples([]int{3, 1}, 0, 2, 1), 3, 4), []string{"Abs", "ScatterGrid", "Neg"}},
		"all of the inner":        {nd(nil, tuples([]int{1, 4, 2}, 1, 0, 1, 1, 1, 2, 1, 3), 1, 4), []string{"Abs", "ScatterGrid", "Neg"}},
		"sums":                    {nd(onnx.NewAttrs("reduction", "add"), tuples([]int{1, 1}, 1), 1, 4), []string{"Abs", "ScatterND", "Neg"}},
		"diagonal":                {nd(nil, tuples([]int{3, 2}, 0, 0, 1, 1, 2, 2), 3), []string{"Abs", "ScatterND", "Neg"}},
		"no combination":          {nd(nil, tuples([]int{2, 2, 2}, 0, 0, 0, 1, 1, 1, 1, 0), 2, 2), []string{"Abs", "ScatterND", "Neg"}},
		"columns first":           {nd(nil, tuples([]int{2, 2, 2}, 0, 0, 1, 0, 0, 1, 1, 1), 2, 2), []string{"Abs", "ScatterND", "Neg"}},
		"no tuples":               {nd(nil, tuples([]int{0, 1}), 0, 4), []string{"Abs", "ScatterND", "Neg"}},
		"rows of rows":            {nd(nil, tuples([]int{1, 2, 1}, 0, 2), 1, 2, 4), []string{"Abs", "ScatterND", "Neg"}},
		"elements of a column":    {elements(onnx.NewAttrs("axis", 1), tuples([]int{3, 1}, 2, 2, 2), 3, 1), []string{"ScatterGrid"}},
		"elements of some rows":   {elements(onnx.NewAttrs("axis", 1), tuples([]int{2, 1}, 2, 2), 2, 1), []string{"ScatterElements"}},
		"elements of their own":   {elements(nil, tuples([]int{1, 4}, 2, 1, 2, 2), 1, 4), []string{"ScatterElements"}},
		"elements that are added": {elements(onnx.NewAttrs("reduction", "add"), tuples([]int{1, 4}, 2, 2, 2, 2), 1, 4), []string{"ScatterElements"}},
		"of rows, transposed": {func(b *ops.Builder) {
			turn := func(v *onnx.Value) *onnx.Value { return b.Op("Transpose", nil, v) }
			at := b.Op("Unsqueeze", nil, inOf(b, tensor.Int64, "at", 0), b.Ints(-1))
			ret(b, turn(b.Op("ScatterND", nil, turn(in(b, "x", 3, 4)), at, turn(in(b, "u", 3, 0)))))
		}, []string{"ScatterGrid"}},
		"of a transposed value that stays": {func(b *ops.Builder) {
			x := b.Op("Transpose", nil, in(b, "x", 3, 4))
			ret(b, b.Op("Relu", nil, b.Op("ScatterND", nil, x, b.Const(tensor.Of([]int64{2}, 1, 1)), in(b, "u", 1, 3))))
		}, []string{"Transpose", "ScatterGrid", "Relu"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := graphModel(t, 18, c.build)
			before := m.Clone()
			if _, err := Run(m, Machine, Options{Check: true}); err != nil {
				t.Fatal(err)
			}
			want(t, m, c.want...)
			same(t, before.Graph, m.Graph, rand.New(rand.NewPCG(5, 6)))
		})
	}
}

// The indices of a batch of unknown size are computed: Range, Expand and Concat.
func TestScatterOfUnknownSize(t *testing.T) {
	m := graphModel(t, 18, func(b *ops.Builder) {
		x := b.G.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("n"), onnx.Size(4)))
		u := b.G.AddInput("u", onnx.TensorType(tensor.Float32, onnx.Name("n"), onnx.Size(2)))
		n := b.Op("Squeeze", nil, b.Op("Shape", onnx.NewAttrs("end", 1), x))
		rows := b.Op("Unsqueeze", nil, b.Op("Range", nil, b.Const(tensor.Scalar(int64(0))), n, b.Const(tensor.Scalar(int64(1)))), b.Ints(1))
		columns := b.Ints(1, 3)
		shape := b.Op("Shape", nil, b.Op("Add", nil, rows, columns))
		part := func(v *onnx.Value) *onnx.Value {
			return b.Op("Unsqueeze", nil, b.Op("Expand", nil, v, shape), b.Ints(-1))
		}
		ret(b, b.Op("ScatterND", nil, x, b.Op("Concat", onnx.NewAttrs("axis", -1), part(rows), part(columns)), u))
	})
	if _, err := Run(m, Machine, Options{Check: true}); err != nil {
		t.Fatal(err)
	}
	found := false
	for _, n := range m.Graph.Nodes {
		found = found || n.Op == "ScatterGrid"
		if n.Op == "ScatterND" || n.Op == "Expand" || n.Op == "Concat" {
			t.Errorf("%v is left", n)
		}
	}
	if !found {
		t.Error("no x.ScatterGrid")
	}
}
