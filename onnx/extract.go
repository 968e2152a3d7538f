package onnx

import "fmt"

// Extract returns the part of m between values: a model whose inputs are those named by inputs
// and whose outputs those named by outputs, with m's initializers, which it
// shares. Inputs may be any values of the graph; m stays as it is. An output that
// needs an input of m that is not among inputs is an error.
func Extract(m *Model, inputs, outputs []string) (*Model, error) {
	m = m.Clone()
	g := m.Graph
	values := map[string]*Value{}
	for _, v := range g.Inputs {
		values[v.Name] = v
	}
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			if v != nil {
				values[v.Name] = v
			}
		}
	}
	if len(outputs) == 0 {
		return nil, fmt.Errorf("onnx: a part without outputs")
	}
	all := g.Inputs
	g.Inputs, g.Outputs = nil, nil
	taken := map[*Value]bool{}
	for _, name := range inputs {
		v := values[name]
		if v == nil {
			return nil, fmt.Errorf("onnx: part: there is no value %q to be an input", name)
		}
		if taken[v] {
			return nil, fmt.Errorf("onnx: part: %q is an input twice", name)
		}
		if v.From != nil {
			in := g.NewValue(g.FreshName(name), v.Type)
			g.Replace(v, in)
			v.Name, in.Name = in.Name, name
			values[name], v = in, in
		}
		taken[v] = true
		g.Inputs = append(g.Inputs, v)
	}
	for _, name := range outputs {
		v := values[name]
		if v == nil {
			return nil, fmt.Errorf("onnx: part: there is no value %q to be an output", name)
		}
		if taken[v] || g.IsOutput(v) {
			return nil, fmt.Errorf("onnx: part: %q is an input, or an output twice", name)
		}
		g.Outputs = append(g.Outputs, v)
	}
	g.Prune()
	for _, v := range all {
		if !taken[v] && v.Const == nil && v.Uses() > 0 {
			return nil, fmt.Errorf("onnx: part: the outputs need %q, which is not among the inputs %q", v.Name, inputs)
		}
	}
	return m, nil
}
