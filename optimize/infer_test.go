package optimize

import (
	"strings"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// testSet has small operators of the domain "t" with plain inference:
// Same (any), Dims (the shape of its input as ints), Fill (a tensor of the
// given shape), Pick (unknown length), Twice (a function of Add), Branch (its body's type).
func testSet(t *testing.T) *ops.Set {
	t.Helper()
	kernel := func(*ops.BuildContext) (ops.Kernel, error) { return func(*ops.Call) error { return nil }, nil }
	list := []*ops.Op{
		{Domain: "t", Name: "Same", Versions: []ops.Version{{Since: 1, In: ops.N(1), Out: ops.N(1), Build: kernel,
			Infer: func(c *ops.InferContext) error { c.Out[0] = c.In(0); return nil }}}},
		{Domain: "t", Name: "Dims", Versions: []ops.Version{{Since: 1, In: ops.N(1), Out: ops.N(1), Build: kernel,
			Infer: func(c *ops.InferContext) error {
				x := c.In(0)
				c.Out[0] = onnx.TensorType(tensor.Int64, onnx.Size(len(x.Dims)))
				c.SetInts(0, x.Dims)
				return nil
			}}}},
		{Domain: "t", Name: "Fill", Versions: []ops.Version{{Since: 1, In: ops.N(1), Out: ops.N(1), Build: kernel,
			Infer: func(c *ops.InferContext) error {
				c.Out[0] = onnx.UnrankedType(tensor.Float32)
				if d, ok := c.KnownInts(0); ok {
					c.Out[0] = onnx.TensorType(tensor.Float32, d...)
				}
				return nil
			}}}},
		{Domain: "t", Name: "Pick", Versions: []ops.Version{{Since: 1, In: ops.N(1), Out: ops.N(1), Build: kernel,
			Infer: func(c *ops.InferContext) error {
				c.Out[0] = onnx.TensorType(c.In(0).DType, onnx.Dim{})
				return nil
			}}}},
		{Domain: "t", Name: "Branch", Versions: []ops.Version{{Since: 1, In: ops.N(1), Out: ops.N(1), Build: kernel,
			Infer: func(c *ops.InferContext) error {
				types, err := c.Body(c.Graph("body"), []onnx.Type{c.In(0)})
				if err == nil {
					c.Out[0] = types[0]
				}
				return err
			}}}},
		{Domain: "t", Name: "Twice", Versions: []ops.Version{{Since: 1, In: ops.N(1), Out: ops.N(1),
			Infer: func(c *ops.InferContext) error { return nil },
			Expand: func(c *ops.ExpandContext) ([]*onnx.Value, error) {
				x := c.Node().In[0]
				if c.In(0).Rank() < 0 {
					c.Builder.Fail(ops.ErrUnsupported)
				}
				return c.Ops("t", "Same", nil, 1, c.Ops("t", "Same", nil, 1, x)[0]), nil
			}}}},
	}
	s, err := ops.NewSet(list...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func node(g *onnx.Graph, op string, in ...*onnx.Value) *onnx.Value {
	n := g.NewNodeIn("t", op, nil, in, 1)
	n.Name = op
	g.Insert(nil, n)
	return n.Out[0]
}

func testModel() *onnx.Model {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 17, "t": 1}}
	m.Graph = onnx.NewGraph("g", m.Opsets)
	return m
}

func TestInferFollowsShapeValues(t *testing.T) {
	m := testModel()
	g := m.Graph
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(3)))
	y := node(g, "Fill", node(g, "Dims", x))
	g.Outputs = []*onnx.Value{y}
	set := testSet(t)
	for range 2 {
		if err := Infer(m, InferOptions{Set: set}); err != nil {
			t.Fatal(err)
		}
		if got := y.Type.String(); got != "float32[N,3]" {
			t.Fatalf("got %s", got)
		}
	}
	if err := Infer(m, InferOptions{Set: set, Dims: map[string]int{"N": 5}}); err != nil {
		t.Fatal(err)
	}
	if x.Type.String() != "float32[5,3]" || y.Type.String() != "float32[5,3]" {
		t.Errorf("with N = 5: %v, %v", x.Type, y.Type)
	}
}

func TestInferDeclaredTypes(t *testing.T) {
	build := func(declared onnx.Type, mid bool) (*onnx.Model, *onnx.Value) {
		m := testModel()
		g := m.Graph
		x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Dim{}))
		y := node(g, "Pick", x)
		y.Type = declared
		g.Outputs = []*onnx.Value{y}
		if mid {
			g.Outputs = []*onnx.Value{node(g, "Same", y)}
		}
		return m, y
	}
	set := testSet(t)
	four := onnx.TensorType(tensor.Float32, onnx.Size(4))
	cases := []struct {
		name     string
		declared onnx.Type
		mid      bool
		o        InferOptions
		want     string
		err      string
	}{
		{"an output keeps what is declared", four, false, InferOptions{}, "float32[4]", ""},
		{"an intermediate does not", four, true, InferOptions{}, "float32[?]", ""},
		{"unless it is trusted", four, true, InferOptions{Trust: true}, "float32[4]", ""},
		{"a fresh name", onnx.Type{}, true, InferOptions{Fresh: true}, "float32[Pick_1.0]", ""},
		{"wrong rank of an output", onnx.TensorType(tensor.Float32), false, InferOptions{}, "float32[?]", ""},
		{"the same, strictly", onnx.TensorType(tensor.Float32), false, InferOptions{Strict: true}, "", "declared float32[]: rank 1 against 0"},
		{"wrong element type", onnx.UnrankedType(tensor.Int8), false, InferOptions{}, "", "float32 against int8"},
	}
	for _, c := range cases {
		m, y := build(c.declared, c.mid)
		c.o.Set = set
		err := Infer(m, c.o)
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v, want %q", c.name, err, c.err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case y.Type.String() != c.want:
			t.Errorf("%s: %v, want %s", c.name, y.Type, c.want)
		}
	}
}

func TestInferUnknownOperatorAndBody(t *testing.T) {
	m := testModel()
	g := m.Graph
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N")))
	u := node(g, "Mystery", x)
	u.Type = onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(2))
	body := g.NewBody("body")
	in := body.AddInput("in", onnx.Type{})
	body.Outputs = []*onnx.Value{node(body, "Same", in)}
	b := g.NewNodeIn("t", "Branch", onnx.NewAttrs("body", body), []*onnx.Value{u}, 1)
	g.Insert(nil, b)
	g.Outputs = []*onnx.Value{b.Out[0]}
	if err := Infer(m, InferOptions{Set: testSet(t), Dims: map[string]int{"N": 7}}); err != nil {
		t.Fatal(err)
	}
	if got := b.Out[0].Type.String(); got != "float32[7,2]" {
		t.Errorf("got %s", got)
	}
}

func TestInferErrorNamesNode(t *testing.T) {
	m := testModel()
	g := m.Graph
	x := g.AddInput("x", onnx.TensorType(tensor.Float32))
	g.Outputs = []*onnx.Value{node(g, "Same", x, x)}
	err := Infer(m, InferOptions{Set: testSet(t)})
	if err == nil || err.Error() != `optimize: t.Same "Same": 2 inputs, want 1` {
		t.Errorf("error %v", err)
	}
}

func TestMerge(t *testing.T) {
	f := func(d ...onnx.Dim) onnx.Type { return onnx.TensorType(tensor.Float32, d...) }
	n := onnx.Name("N")
	cases := []struct {
		a, b onnx.Type
		want string
	}{
		{onnx.Type{}, f(n), "float32[N]"},
		{f(n), onnx.Type{}, "float32[N]"},
		{f(n), f(onnx.Size(2)), "float32[2]"},
		{f(onnx.Size(2)), f(n), "float32[2]"},
		{f(onnx.Dim{}), f(n), "float32[N]"},
		{f(n), f(onnx.Name("M")), "float32[N]"},
		{onnx.UnrankedType(tensor.Undefined), f(n), "float32[N]"},
		{f(n), onnx.UnrankedType(tensor.Int8), ""},
		{f(n), onnx.Type{Kind: onnx.SequenceKind}, ""},
		{f(onnx.Size(2)), f(onnx.Size(3)), ""},
		{f(n), f(n, n), ""},
	}
	for _, c := range cases {
		got, err := merge(c.a, c.b)
		if (err != nil) != (c.want == "") || err == nil && got.String() != c.want {
			t.Errorf("merge(%v, %v) = %v, %v, want %q", c.a, c.b, got, err, c.want)
		}
	}
}
