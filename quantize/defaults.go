package quantize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Defaults are inputs of a model whose default was made a constant, because it is
// a weight: exporters that list all initializers as inputs mean them so.
type Defaults struct {
	order []string // of all inputs
	fixed []fixedInput
}

type fixedInput struct {
	name    string
	typ     onnx.Type
	value   *tensor.Tensor
	readers int
}

// FixDefaults makes constants of the inputs of m whose defaults are floats that nodes compute
// with, and, up to IR version 3, of all inputs with an initializer. [Defaults.Restore] makes
// inputs again of those that are left as they were. Integers, and floats that sizes follow from, stay inputs.
func FixDefaults(m *onnx.Model) *Defaults {
	d := &Defaults{}
	g := m.Graph
	old := m.IRVersion < 4
	for _, v := range g.Inputs {
		d.order = append(d.order, v.Name)
	}
	g.Inputs = slices.DeleteFunc(g.Inputs, func(v *onnx.Value) bool {
		if v.Const == nil || !old && !isWeight(g, v) {
			return false
		}
		if !slices.Contains(g.Consts, v) {
			g.Consts = append(g.Consts, v)
		}
		if !old {
			d.fixed = append(d.fixed, fixedInput{v.Name, v.Type, v.Const, v.Uses()})
		}
		return true
	})
	if old {
		m.IRVersion = 4
	}
	return d
}

// isWeight reports whether the default of the input v is what nodes compute with.
func isWeight(g *onnx.Graph, v *onnx.Value) bool {
	if !v.Const.DType().IsFloat() || v.Uses() == 0 || g.IsOutput(v) {
		return false
	}
	return !slices.ContainsFunc(v.Users(), func(n *onnx.Node) bool {
		switch n.Op {
		case "Resize", "Upsample":
			return n.In[0] != v // factors, which sizes follow from
		case "Range", "OneHot":
			return true
		case "Cast":
			to, _ := onnx.Attribute(n, "to", int64(0))
			return !tensor.DType(to).IsFloat()
		}
		return false
	})
}

// recount notes how many nodes of g read what was fixed, after changes that keep its meaning.
func (d *Defaults) recount(g *onnx.Graph) {
	by := constsByName(g)
	for i, f := range d.fixed {
		if v := by[f.name]; v != nil {
			d.fixed[i].readers = v.Uses()
		}
	}
}

// Restore makes inputs of g, which what was fixed has become, of the constants that are as they
// were and have all of their readers, and returns the names of the others: a caller who gave
// another value for one of them would change part of what was computed with it.
func (d *Defaults) Restore(g *onnx.Graph) (gone []string) {
	if len(d.fixed) == 0 {
		return nil
	}
	by := constsByName(g)
	inputs := map[string]*onnx.Value{}
	for _, v := range g.Inputs {
		inputs[v.Name] = v
	}
	for _, f := range d.fixed {
		v := by[f.name]
		if v == nil || v.Const != f.value || v.Uses() < f.readers {
			gone = append(gone, f.name)
			continue
		}
		v.Type = f.typ
		inputs[f.name] = v
	}
	var all []*onnx.Value
	for _, name := range d.order {
		if v := inputs[name]; v != nil {
			all = append(all, v)
		}
	}
	for _, v := range g.Inputs {
		if !slices.Contains(d.order, v.Name) {
			all = append(all, v)
		}
	}
	g.Inputs = all
	return gone
}

// fixes reports whether v is the constant that an input was made.
func (d *Defaults) fixes(v *onnx.Value) bool {
	return slices.ContainsFunc(d.fixed, func(f fixedInput) bool { return f.name == v.Name && f.value == v.Const })
}

func constsByName(g *onnx.Graph) map[string]*onnx.Value {
	by := map[string]*onnx.Value{}
	for _, v := range g.Consts {
		by[v.Name] = v
	}
	return by
}
