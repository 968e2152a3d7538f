package optimize

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// function makes f(a, b) = body's results.
func function(name string, ins []string, body func(g *onnx.Graph, in []*onnx.Value) []*onnx.Value) *onnx.Function {
	f := &onnx.Function{Domain: "f", Name: name, Opsets: map[string]int{"": 17, "t": 1, "f": 1, "extra": 3}}
	f.Graph = onnx.NewGraph(name, f.Opsets)
	var in []*onnx.Value
	for _, n := range ins {
		in = append(in, f.Graph.AddInput(n, onnx.Type{}))
	}
	f.Graph.Outputs = body(f.Graph, in)
	return f
}

func call(g *onnx.Graph, name string, as onnx.Attrs, outs int, in ...*onnx.Value) *onnx.Node {
	n := g.NewNodeIn("f", name, as, in, outs)
	n.Name = "call_" + name
	g.Insert(nil, n)
	return n
}

func opNames(g *onnx.Graph) []string {
	var s []string
	for _, n := range g.Nodes {
		s = append(s, n.Op)
	}
	return s
}

func TestInlineNestedWithAttributes(t *testing.T) {
	m := testModel()
	m.Opsets["f"] = 1
	inner := function("Inner", []string{"a", "b"}, func(g *onnx.Graph, in []*onnx.Value) []*onnx.Value {
		n := g.NewNodeIn("t", "Same", onnx.Attrs{{Name: "p", Value: int64(0), Ref: "q"}, {Name: "r", Value: int64(0), Ref: "none"}}, in[:1], 1)
		g.Insert(nil, n)
		o := g.NewNodeIn("t", "Other", nil, []*onnx.Value{in[0], in[1]}, 1)
		g.Insert(nil, o)
		return []*onnx.Value{n.Out[0], o.Out[0]}
	})
	inner.AttrNames = []string{"q", "none"}
	outer := function("Outer", []string{"x"}, func(g *onnx.Graph, in []*onnx.Value) []*onnx.Value {
		n := call(g, "Inner", onnx.Attrs{{Name: "q", Value: int64(0), Ref: "z"}}, 2, in[0])
		return []*onnx.Value{n.Out[0], n.Out[1], in[0]}
	})
	outer.AttrDefaults = onnx.NewAttrs("z", 5)
	m.Functions = []*onnx.Function{outer, inner}
	g := m.Graph
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(2)))
	a := call(g, "Outer", nil, 3, x)
	b := call(g, "Outer", onnx.NewAttrs("z", 6), 1, a.Out[0])
	g.Outputs = []*onnx.Value{b.Out[0], a.Out[1], a.Out[2]}
	for i, v := range g.Outputs {
		v.Name = string(rune('p' + i))
	}
	if err := Inline(m, testSet(t)); err != nil {
		t.Fatal(err)
	}
	if got := opNames(g); !slices.Equal(got, []string{"Same", "Other", "Same", "Other", "Identity"}) {
		t.Fatalf("nodes %v", got)
	}
	if err := g.Check(); err != nil {
		t.Error(err)
	}
	var names []string
	for _, v := range g.Outputs {
		names = append(names, v.Name)
	}
	if !slices.Equal(names, []string{"p", "q", "r"}) {
		t.Errorf("outputs are called %v", names)
	}
	seen := map[string]bool{}
	for i, want := range []int64{5, 0, 6} {
		n := g.Nodes[i]
		if n.Op == "Same" {
			if p, _ := onnx.Attribute(n, "p", int64(0)); p != want || len(n.Attrs) != 1 {
				t.Errorf("node %d: attributes %v, want p = %d alone", i, n.Attrs, want)
			}
		} else if len(n.In) != 1 {
			t.Errorf("node %d has inputs %v: the absent one should be trimmed", i, n.In)
		}
		if seen[n.Out[0].Name] {
			t.Errorf("name %q is used twice", n.Out[0].Name)
		}
		seen[n.Out[0].Name] = true
	}
	if len(m.Functions) != 0 || m.Opsets["extra"] != 3 {
		t.Errorf("functions %d, opsets %v", len(m.Functions), m.Opsets)
	}
}

func TestInlineRecursionIsAnError(t *testing.T) {
	m := testModel()
	self := function("Self", []string{"x"}, func(g *onnx.Graph, in []*onnx.Value) []*onnx.Value {
		return call(g, "Self", nil, 1, in[0]).Out
	})
	m.Functions = []*onnx.Function{self}
	x := m.Graph.AddInput("x", onnx.TensorType(tensor.Float32))
	m.Graph.Outputs = call(m.Graph, "Self", nil, 1, x).Out
	if err := Inline(m, testSet(t)); !errors.Is(err, onnx.ErrInvalid) || !strings.Contains(err.Error(), "calls itself") {
		t.Errorf("error %v", err)
	}
}

func TestInlineBombIsAnError(t *testing.T) {
	m := testModel()
	for i := range 40 {
		name := "F" + string(rune('A'+i))
		next := "F" + string(rune('A'+i+1))
		m.Functions = append(m.Functions, function(name, []string{"x"}, func(g *onnx.Graph, in []*onnx.Value) []*onnx.Value {
			if i == 39 {
				return []*onnx.Value{node(g, "Same", in[0])}
			}
			return call(g, next, nil, 1, call(g, next, nil, 1, in[0]).Out[0]).Out
		}))
	}
	x := m.Graph.AddInput("x", onnx.TensorType(tensor.Float32))
	m.Graph.Outputs = call(m.Graph, "FA", nil, 1, x).Out
	if err := Inline(m, testSet(t)); !errors.Is(err, onnx.ErrLimit) {
		t.Errorf("error %v", err)
	}
}

func TestInlineExpandsByContext(t *testing.T) {
	m := testModel()
	g := m.Graph
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(2)))
	body := g.NewBody("body")
	in := body.AddInput("in", onnx.Type{})
	body.Outputs = []*onnx.Value{node(body, "Twice", in)}
	b := g.NewNodeIn("t", "Branch", onnx.NewAttrs("body", body), []*onnx.Value{node(g, "Twice", x)}, 1)
	g.Insert(nil, b)
	g.Outputs = b.Out
	if err := Inline(m, testSet(t)); err != nil {
		t.Fatal(err)
	}
	if got := opNames(g); !slices.Equal(got, []string{"Same", "Same", "Branch"}) {
		t.Errorf("nodes %v", got)
	}
	if got := g.Nodes[0].Name; !strings.HasSuffix(got, "/Same_0") {
		t.Errorf("the first node is named %q", got)
	}
	if got := opNames(body); !slices.Equal(got, []string{"Same", "Same"}) {
		t.Errorf("nodes of the body %v", got)
	}
	if got := g.Outputs[0].Type.String(); got != "float32[2]" {
		t.Errorf("type %s", got)
	}
	if err := g.Check(); err != nil {
		t.Error(err)
	}
}

func TestInlineLeavesUnknownOperators(t *testing.T) {
	m := testModel()
	x := m.Graph.AddInput("x", onnx.TensorType(tensor.Float32))
	m.Graph.Outputs = []*onnx.Value{node(m.Graph, "Mystery", x)}
	if err := Inline(m, ops.Standard()); err != nil {
		t.Error(err)
	}
}

// AffineGrid has a function body in the standard. An empty set has no kernels,
// so that the body is used whatever the standard set has.
func TestInlineStandardFunction(t *testing.T) {
	m := testModel()
	x := m.Graph.AddInput("x", onnx.TensorType(tensor.Int64))
	n := m.Graph.NewNodeIn("", "AffineGrid", onnx.NewAttrs("align_corners", 1), []*onnx.Value{x, m.Graph.AddInput("size", onnx.TensorType(tensor.Int64, onnx.Size(4)))}, 1)
	n.Opset, n.Name = 20, "grid"
	m.Graph.Insert(nil, n)
	m.Graph.Outputs = []*onnx.Value{n.Out[0]}
	if k, err := expand(m, n, &ops.Set{}); err != nil || k < 2 {
		t.Fatalf("%d nodes, error %v", k, err)
	}
	if names := opNames(m.Graph); slices.Contains(names, "AffineGrid") {
		t.Errorf("left: %v", names)
	}
	led := map[string]bool{}
	for _, n := range m.Graph.Nodes {
		if !strings.HasPrefix(n.Name, "grid/") || led[n.Name] {
			t.Errorf("a node is named %q", n.Name)
		}
		led[n.Name] = true
		for _, a := range n.Attrs {
			if a.Ref != "" {
				t.Errorf("%v refers to attribute %q", n, a.Ref)
			}
		}
	}
}
