package main

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// minStored is the number of elements from which an initializer is worth a
// Cast.
const minStored = 256

// stored says what storeAs did.
type stored struct {
	changed int      // initializers whose type changed
	bytes   int64    // by which they got smaller, or less than 0
	kept    []string // initializers that float16 has not the range for
}

// storeAs changes the type that large float initializers are stored in. To
// float16 or bfloat16, float32 weights are rounded to it and a Cast to float32
// makes them what they were: the model computes in float32 as before, and its
// inputs and outputs stay. To float32, such casts go away. Weights that float16
// would make infinite stay, and so do the scales of quantised tensors.
func storeAs(m *onnx.Model, to tensor.DType) (*stored, error) {
	if v := m.Opsets[""]; to == tensor.BFloat16 && v < 13 {
		return nil, fmt.Errorf("opset %d has no bfloat16: convert with --opset 13 or newer", v)
	} else if v < 6 {
		return nil, fmt.Errorf("opset %d has no Cast to float32 by number: convert with --opset 6 or newer", v)
	}
	s := &stored{}
	m.Graph.Walk(func(g *onnx.Graph) {
		if to == tensor.Float32 {
			s.widen(g)
		} else {
			s.narrow(g, to)
		}
	})
	m.Graph.Prune()
	return s, nil
}

func (s *stored) narrow(g *onnx.Graph, to tensor.DType) {
	for _, v := range slices.Clone(g.Consts) {
		if v.Const == nil || v.Const.DType() != tensor.Float32 || v.Const.Len() < minStored || v.Uses() == 0 ||
			g.IsOutput(v) || slices.Contains(g.Inputs, v) || slices.ContainsFunc(v.Users(), isQuantizer) {
			continue
		}
		t, ok := narrowed(v.Const, to)
		if !ok {
			s.kept = append(s.kept, v.Name)
			continue
		}
		c := g.NewConst(v.Name+"_"+to.String(), t)
		cast := g.NewNode("Cast", onnx.NewAttrs("to", int64(tensor.Float32)), []*onnx.Value{c}, 1)
		cast.Name = v.Name + "_to_float32"
		cast.Out[0].Type = onnx.TypeOf(v.Const)
		var first *onnx.Node
		if len(g.Nodes) > 0 {
			first = g.Nodes[0]
		}
		g.Insert(first, cast)
		redirect(v, cast.Out[0])
		s.changed++
		s.bytes += int64(len(v.Const.Bytes()) - len(t.Bytes()))
	}
}

func (s *stored) widen(g *onnx.Graph) {
	for _, n := range slices.Clone(g.Nodes) {
		if n.Op != "Cast" || n.Domain != "" || len(n.In) != 1 || n.In[0] == nil || n.In[0].Const == nil || n.Out[0] == nil || g.IsOutput(n.Out[0]) {
			continue
		}
		t := n.In[0].Const
		to, err := onnx.Attribute(n, "to", int64(0))
		if err != nil || to != int64(tensor.Float32) || t.DType() != tensor.Float16 && t.DType() != tensor.BFloat16 {
			continue
		}
		wide := tensor.Widen(t)
		c := g.AddConst(g.NewConst("", wide))
		redirect(n.Out[0], c)
		s.changed++
		s.bytes += int64(len(t.Bytes()) - len(wide.Bytes()))
	}
}

// redirect makes the nodes that read old read v.
func redirect(old, v *onnx.Value) {
	for _, u := range slices.Clone(old.Users()) {
		for i, in := range u.In {
			if in == old {
				u.SetInput(i, v)
			}
		}
	}
}

func isQuantizer(n *onnx.Node) bool {
	return n.Op == "QuantizeLinear" || n.Op == "DequantizeLinear"
}

// narrowed rounds t to a 16-bit type; ok is false if a finite element becomes
// infinite.
func narrowed(t *tensor.Tensor, to tensor.DType) (out *tensor.Tensor, ok bool) {
	out = tensor.New(to, t.Shape()...)
	tensor.Narrow(out, t)
	back := tensor.Data[float32](tensor.Widen(out))
	for i, x := range tensor.Data[float32](t) {
		if math.IsInf(float64(back[i]), 0) && !math.IsInf(float64(x), 0) {
			return nil, false
		}
	}
	return out, true
}
