package onnx

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/tensor"
)

// x, w -> Add -> h -> Exp -> y; h, x -> Mul -> z
func extractable() *Model {
	m := &Model{IRVersion: 10, Opsets: map[string]int{"": 20}}
	g := NewGraph("g", m.Opsets)
	m.Graph = g
	x := g.AddInput("x", TensorType(tensor.Float32, Name("n"), Size(2)))
	node := func(op, name string, in ...*Value) *Value {
		n := g.NewNode(op, nil, in, 1)
		n.Out[0].Name, n.Out[0].Type = name, x.Type
		g.Insert(nil, n)
		return n.Out[0]
	}
	h := node("Add", "h", x, g.NewConst("w", tensor.Of([]float32{1, 2}, 2)))
	y := node("Exp", "y", h)
	g.Outputs = []*Value{y, node("Mul", "z", h, x)}
	return m
}

func valueNames(list []*Value) (out []string) {
	for _, v := range list {
		out = append(out, v.Name)
	}
	return out
}

func TestExtract(t *testing.T) {
	for _, c := range []struct {
		in, out, ops []string
		consts       int
	}{
		{[]string{"x"}, []string{"h"}, []string{"Add"}, 1},
		{[]string{"h"}, []string{"y"}, []string{"Exp"}, 0},
		{[]string{"h", "x"}, []string{"z", "y"}, []string{"Exp", "Mul"}, 0},
		{[]string{"x"}, []string{"y", "h"}, []string{"Add", "Exp"}, 1},
	} {
		m := extractable()
		p, err := Extract(m, c.in, c.out)
		require.NoError(t, err)
		require.Empty(t, Check(p))
		require.Equal(t, c.in, valueNames(p.Graph.Inputs))
		require.Equal(t, c.out, valueNames(p.Graph.Outputs))
		require.Equal(t, TensorType(tensor.Float32, Name("n"), Size(2)), p.Graph.Inputs[0].Type)
		var ops []string
		for _, n := range p.Graph.Nodes {
			ops = append(ops, n.Op)
		}
		require.Equal(t, c.ops, ops)
		require.Len(t, p.Graph.Consts, c.consts)
		require.Len(t, m.Graph.Nodes, 3, "the model has changed")
		require.Equal(t, "h", m.Graph.Nodes[0].Out[0].Name)
	}
	for want, c := range map[string][2][]string{
		"need \"x\"":              {{"h"}, {"z"}},
		"no value \"a\" to be an": {{"a"}, {"y"}},
		"no value \"b\" to be an": {{"x"}, {"b"}},
		"is an input twice":       {{"x", "x"}, {"y"}},
		"or an output twice":      {{"x"}, {"y", "y"}},
		"\"h\" is an input":       {{"h"}, {"h"}},
		"without outputs":         {{"x"}, nil},
	} {
		_, err := Extract(extractable(), c[0], c[1])
		require.ErrorContains(t, err, want)
	}
}
