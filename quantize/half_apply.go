package quantize

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// apply carries the plan out.
func (h *half) apply() {
	root := h.m.Graph
	for _, v := range root.Inputs {
		if v.Const == nil && isFloat32(v) && h.willBeHalf(v) {
			h.stored[v] = true
		}
	}
	for _, n := range h.order {
		p := h.plans[n]
		for i, v := range n.Out {
			if v != nil && p.out[i] {
				h.stored[v] = true
			}
		}
	}
	for _, n := range h.order {
		p := h.plans[n]
		for i, v := range n.In {
			if isFloat32(v) {
				if to := h.as(v, p.in[i]); to != v {
					n.SetInput(i, to)
				}
			}
		}
		h.retype(n, p)
	}
	root.Walk(func(g *onnx.Graph) {
		for i, v := range g.Outputs {
			if h.stored[v] && (g != root || !h.c.HalfIO) {
				h.restore(g, i, v)
			}
		}
	})
	for v := range h.stored {
		v.Type.DType = h.c.Type
	}
	root.RebuildUses()
	root.Walk(h.dropCasts)
}

// as returns v as half or float32.
func (h *half) as(v *onnx.Value, half bool) *onnx.Value {
	if c := h.constantHalf(v); c != nil {
		if !half {
			return v
		}
		if c.v == nil {
			c.v = h.keep(v, "_"+h.c.Type.String(), c.t)
		}
		return c.v
	}
	if half == h.stored[v] {
		return v
	}
	to := tensor.Float32
	if half {
		to = h.c.Type
	}
	key := castKey{v, to}
	if h.casts[key] == nil {
		g, at := h.after(v)
		n := h.cast(g, v, to)
		g.Insert(at, n)
		h.casts[key] = n.Out[0]
	}
	return h.casts[key]
}

// after returns the graph of v and the node that follows the one that computes it.
func (h *half) after(v *onnx.Value) (*onnx.Graph, *onnx.Node) {
	g, i := h.m.Graph, 0
	if v.From != nil {
		g = v.From.Graph
		i = slices.Index(g.Nodes, v.From) + 1
	} else {
		g.Walk(func(k *onnx.Graph) {
			if slices.Contains(k.Inputs, v) || slices.Contains(k.Consts, v) {
				g = k
			}
		})
	}
	if i < len(g.Nodes) {
		return g, g.Nodes[i]
	}
	return g, nil
}

func (h *half) cast(g *onnx.Graph, v *onnx.Value, to tensor.DType) *onnx.Node {
	n := g.NewNode("Cast", onnx.NewAttrs("to", to), []*onnx.Value{v}, 1)
	n.Name = h.nodeName(v.Name + "/" + to.String())
	n.Out[0].Type = v.Type
	n.Out[0].Type.DType = to
	return n
}

// restore makes output i of g, which is v, be float32 again, under its name.
func (h *half) restore(g *onnx.Graph, i int, v *onnx.Value) {
	if v.From != nil && v.From.Graph != g { // a nested graph returns it
		g.Outputs[i] = h.as(v, false)
		return
	}
	var n *onnx.Node
	if w := h.casts[castKey{v, tensor.Float32}]; w != nil && w.From.Graph == g && !g.IsOutput(w) {
		n = w.From
	} else {
		n = h.cast(g, v, tensor.Float32)
		g.Insert(nil, n)
	}
	g.Outputs[i] = n.Out[0]
	if v.From != nil { // else v is an input, which has that name too
		n.Out[0].Name, v.Name = v.Name, n.Out[0].Name
		n.Out[0].Doc, n.Out[0].Metadata, v.Doc, v.Metadata = v.Doc, v.Metadata, "", nil
	}
}

// dropCasts removes the Casts of g that change nothing: those of the given model
// between float32 and the type.
func (h *half) dropCasts(g *onnx.Graph) {
	for _, n := range slices.Clone(g.Nodes) {
		if n.Op == "Cast" && n.Domain == "" && n.In[0] != nil && n.In[0].Type.Kind == onnx.TensorKind && n.In[0].Type.DType == h.c.Type &&
			intAttribute(n, "to", 0) == int64(h.c.Type) && !g.IsOutput(n.Out[0]) && !returned(n.Out[0]) {
			g.Replace(n.Out[0], n.In[0])
			g.Remove(n)
		}
	}
}
