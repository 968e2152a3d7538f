package onnx

import (
	"slices"
	"testing"
	"time"

	"github.com/gneiss-run/gneiss/tensor"
)

// branchGraph returns a graph with y = Relu(x), z = If(c) where both branches
// return y itself.
func branchGraph() (g *Graph, y *Value, branch *Node) {
	g = NewGraph("g", map[string]int{"": 17})
	x := g.AddInput("x", UnrankedType(tensor.Float32))
	c := g.AddInput("c", TensorType(tensor.Bool))
	relu := g.NewNode("Relu", nil, []*Value{x}, 1)
	g.Insert(nil, relu)
	y = relu.Out[0]
	then, other := g.NewBody("then"), g.NewBody("else")
	then.Outputs, other.Outputs = []*Value{y}, []*Value{y}
	branch = g.NewNode("If", NewAttrs("then_branch", then, "else_branch", other), []*Value{c}, 1)
	g.Insert(nil, branch)
	g.Outputs = []*Value{branch.Out[0]}
	return g, y, branch
}

func TestBodyOutputCountsAsUse(t *testing.T) {
	g, y, branch := branchGraph()
	if y.Uses() != 2 {
		t.Fatalf("uses %d, want one per branch", y.Uses())
	}
	g.RebuildUses()
	if y.Uses() != 2 {
		t.Fatalf("uses after RebuildUses %d, want 2", y.Uses())
	}
	n := g.NewNode("Abs", nil, []*Value{g.Inputs[0]}, 1)
	g.Insert(branch, n)
	g.Replace(y, n.Out[0])
	for _, b := range branch.Bodies() {
		if len(b.Nodes) != 1 || b.Nodes[0].Op != "Identity" || b.Nodes[0].In[0] != n.Out[0] || b.Outputs[0] != b.Nodes[0].Out[0] {
			t.Errorf("body %s does not return the new value", b.Name)
		}
	}
	if y.Uses() != 0 || g.Prune() != 1 || len(g.Nodes) != 2 {
		t.Errorf("the replaced node is not dropped: %v", g.Nodes)
	}
}

func TestRemoveDropsCapturedOutputs(t *testing.T) {
	g, y, branch := branchGraph()
	g.Outputs = []*Value{y}
	g.Remove(branch)
	if y.Uses() != 0 {
		t.Errorf("uses %d after the reader is gone", y.Uses())
	}
}

func TestCloneKeepsUses(t *testing.T) {
	g, y, _ := branchGraph()
	m := (&Model{Graph: g, Opsets: g.Opsets}).Clone()
	c := m.Graph.Nodes[0].Out[0]
	if c == y || c.Uses() != 2 || y.Uses() != 2 {
		t.Errorf("clone has %d uses, original %d, want 2 and 2", c.Uses(), y.Uses())
	}
}

func TestSplice(t *testing.T) {
	g, y, branch := branchGraph()
	h := branch.Bodies()[0]
	k := h.NewNode("Neg", nil, []*Value{y}, 1)
	h.Insert(nil, k)
	h.Outputs[0] = k.Out[0]
	g.RebuildUses()
	g.Splice(branch, h)
	g.Replace(branch.Out[0], k.Out[0])
	g.Prune()
	var ops []string
	for _, n := range g.Nodes {
		ops = append(ops, n.Op)
		if n.Graph != g {
			t.Errorf("%v is in another graph", n)
		}
	}
	if !slices.Equal(ops, []string{"Relu", "Neg"}) {
		t.Errorf("nodes %v", ops)
	}
}

// TestEditingIsFast edits a long chain at every place: an edit must not walk
// the whole graph.
func TestEditingIsFast(t *testing.T) {
	g := NewGraph("g", map[string]int{"": 17})
	v := g.AddInput("x", UnrankedType(tensor.Float32))
	for range 4000 {
		n := g.NewNode("Identity", nil, []*Value{v}, 1)
		g.Insert(nil, n)
		v = n.Out[0]
	}
	g.Outputs = []*Value{v}
	start := time.Now()
	for _, n := range slices.Clone(g.Nodes) {
		r := g.NewNode("Abs", nil, []*Value{n.In[0]}, 1)
		g.Insert(n, r)
		g.Replace(n.Out[0], r.Out[0])
		g.Remove(n)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("4000 edits took %v", d)
	}
	for i, n := range g.Nodes {
		if n.Op != "Abs" || i > 0 && n.In[0] != g.Nodes[i-1].Out[0] {
			t.Fatalf("node %d is %v", i, n)
		}
	}
	if len(g.Nodes) != 4000 || g.Outputs[0].Name != v.Name && g.Outputs[0] != g.Nodes[3999].Out[0] {
		t.Errorf("%d nodes", len(g.Nodes))
	}
}
