package ops

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// Expand builds what n stands for from other operators, for a version whose
// Expand is set. n's inputs must have their types. It returns the new nodes,
// which are not in the graph yet, and one value per output of the operator.
func Expand(n *onnx.Node, set *Set) ([]*onnx.Node, []*onnx.Value, error) {
	b := NewBuilder(n.Graph)
	b.Set = set
	out := b.Expand(n)
	if b.Err() != nil {
		return nil, nil, b.Err()
	}
	return b.Nodes, out, nil
}

// Expand adds what n stands for, as the function Expand builds it, and returns
// one value per output of the operator.
func (b *Builder) Expand(n *onnx.Node) []*onnx.Value {
	out, err := b.expand(n)
	if err != nil {
		b.Fail(err)
		return make([]*onnx.Value, len(n.Out))
	}
	return out
}

func (b *Builder) expand(n *onnx.Node) ([]*onnx.Value, error) {
	set := b.Set
	if set == nil {
		set = Standard()
	}
	_, v, err := set.Lookup(n.Domain, n.Op, n.Opset)
	if err != nil {
		return nil, err
	}
	if v.Expand == nil {
		return nil, fmt.Errorf("%w: operator %s has no expansion", ErrUnsupported, n.Op)
	}
	if err := v.CheckArity(n); err != nil {
		return nil, err
	}
	c := &ExpandContext{Builder: b, attrs: attrs{node: n}}
	out, err := v.Expand(c)
	switch {
	case err != nil:
		return nil, err
	case c.attrs.err != nil:
		return nil, c.attrs.err
	case b.Err() != nil:
		return nil, b.Err()
	case len(out) < len(n.Out):
		return nil, fmt.Errorf("expansion gives %d outputs, want %d", len(out), len(n.Out))
	}
	return out, nil
}

// inline adds the nodes of a nested graph, whose inputs stand for in, and returns its
// outputs. The graph itself stays as it is.
func (c *ExpandContext) inline(body *onnx.Graph, in ...*onnx.Value) []*onnx.Value {
	made := make(map[*onnx.Value]*onnx.Value, len(body.Nodes)+len(in))
	for i, v := range body.Inputs {
		made[v] = in[i]
	}
	for _, v := range body.Consts {
		if made[v] == nil {
			made[v] = c.Const(v.Const)
		}
	}
	read := func(vs []*onnx.Value) []*onnx.Value {
		out := make([]*onnx.Value, len(vs))
		for i, v := range vs {
			if out[i] = v; made[v] != nil { // others are of the graphs around
				out[i] = made[v]
			}
		}
		return out
	}
	for _, n := range body.Nodes {
		as := slices.Clone(n.Attrs)
		for i := range as {
			switch g := as[i].Value.(type) {
			case *onnx.Graph:
				as[i].Value = g.CloneInto(c.G, c.G.Opsets, maps.Clone(made))
			case []*onnx.Graph:
				gs := make([]*onnx.Graph, len(g))
				for k := range g {
					gs[k] = g[k].CloneInto(c.G, c.G.Opsets, maps.Clone(made))
				}
				as[i].Value = gs
			}
		}
		k := c.G.NewNodeIn(n.Domain, n.Op, as, read(n.In), len(n.Out))
		k.Opset, k.Overload = n.Opset, n.Overload
		for i, v := range n.Out {
			if v == nil {
				k.Out[i] = nil
			} else {
				made[v] = k.Out[i]
			}
		}
		c.Add(k)
	}
	return read(body.Outputs)
}
