package prune

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/quantize"
	"github.com/gneiss-run/gneiss/tensor"
)

// weightInputs lists the operators of ai.onnx whose weights are pruned, with the
// inputs that weights may be.
var weightInputs = map[string][]int{
	"Conv": {1}, "ConvTranspose": {1}, "Gemm": {1, 0}, "MatMul": {1, 0}, "LSTM": {1, 2}, "GRU": {1, 2}, "RNN": {1, 2},
}

// use is an initializer that is the weight of an operator.
type use struct {
	node  *onnx.Node
	input int
	value *onnx.Value // the initializer
	perm  []int       // of Transposes between it and the node; nil: none
}

// weights returns the uses of initializers as weights, each initializer at its
// first use, in the order of the graph, nested graphs included.
func weights(g *onnx.Graph) []use {
	var out []use
	seen := map[*onnx.Value]bool{}
	g.Walk(func(h *onnx.Graph) {
		for _, n := range h.Nodes {
			if n.Domain != "" {
				continue
			}
			for _, i := range weightInputs[n.Op] {
				if i >= len(n.In) || n.In[i] == nil {
					continue
				}
				v, perm := source(n.In[i])
				if v == nil || v.Const.Rank() < 2 || seen[v] {
					continue
				}
				seen[v] = true
				out = append(out, use{n, i, v, perm})
			}
		}
	})
	return out
}

// source follows v through Identity, DequantizeLinear and Transpose to an
// initializer. v is nil if there is none.
func source(v *onnx.Value) (src *onnx.Value, perm []int) {
	for v.Const == nil {
		n := v.From
		if n == nil || n.Domain != "" || len(n.In) == 0 || n.In[0] == nil {
			return nil, nil
		}
		switch n.Op {
		case "Identity", "DequantizeLinear":
		case "Transpose":
			p, err := onnx.Attribute(n, "perm", []int64(nil))
			if err != nil || p == nil && (n.In[0].Const == nil || n.In[0].Const.Rank() != 2) {
				return nil, nil
			}
			if p == nil {
				p = []int64{1, 0}
			}
			if perm != nil && len(perm) != len(p) {
				return nil, nil
			}
			q := make([]int, len(p))
			for i := range p {
				from := i
				if perm != nil {
					from = perm[i]
				}
				q[i] = axisOf(p[from], len(p))
			}
			perm = q
		default:
			return nil, nil
		}
		v = n.In[0]
	}
	if v.Const.DType().IsPacked() || !v.Const.DType().IsFloat() && !v.Const.DType().IsInt() || perm != nil && len(perm) != v.Const.Rank() {
		return nil, nil
	}
	return v, perm
}

// promote makes initializers of Constant nodes with a tensor, so that weights
// are found in one place.
func promote(g *onnx.Graph) {
	g.Walk(func(h *onnx.Graph) {
		for _, n := range slices.Clone(h.Nodes) {
			if n.Op != "Constant" || n.Domain != "" || len(n.Out) != 1 || h.IsOutput(n.Out[0]) {
				continue
			}
			t, err := onnx.Attribute(n, "value", (*tensor.Tensor)(nil))
			if err != nil || t == nil {
				continue
			}
			name := n.Out[0].Name
			c := h.NewConst("", t)
			h.AddConst(c)
			h.Replace(n.Out[0], c)
			h.Remove(n)
			c.Name = name
		}
	})
}

// counts measures one initializer.
func counts(t *tensor.Tensor) Totals {
	n := int64(t.Len())
	return Totals{Parameters: n, Nonzeros: n - int64(zeros(t)), Bytes: int64(len(t.Bytes()))}
}

// zeros returns the number of elements that are zero, of either sign.
func zeros(t *tensor.Tensor) int {
	n := 0
	switch t.DType() {
	case tensor.Float32:
		for _, x := range tensor.Data[float32](t) {
			if x == 0 {
				n++
			}
		}
	default:
		f, err := tensor.Float64s(t)
		if err != nil {
			return 0
		}
		for _, x := range f {
			if x == 0 {
				n++
			}
		}
	}
	return n
}

// measure returns the layers of m and what the model has in all, both with the
// figures in Before.
func measure(m *onnx.Model) ([]Layer, Totals, error) {
	work, err := flopsByNode(m)
	if err != nil {
		return nil, Totals{}, err
	}
	var layers []Layer
	for _, u := range weights(m.Graph) {
		t := counts(u.value.Const)
		if u.input == weightInputs[u.node.Op][0] || u.node.In[weightInputs[u.node.Op][0]].Const == nil {
			t.FLOPs = work[u.node]
		}
		layers = append(layers, Layer{Node: quantize.NodeName(u.node), Op: u.node.Op, Weight: u.value.Name,
			Was: slices.Clone(u.value.Const.Shape()), Is: slices.Clone(u.value.Const.Shape()), Before: t, After: t})
	}
	var all Totals
	for _, w := range work {
		all.FLOPs += w
	}
	m.Graph.Walk(func(h *onnx.Graph) {
		for _, v := range h.Consts {
			if v.Const == nil || v.Const.DType().IsPacked() || !v.Const.DType().IsFloat() && v.Const.DType().Size() != 1 {
				continue
			}
			t := counts(v.Const)
			all.Parameters += t.Parameters
			all.Nonzeros += t.Nonzeros
			all.Bytes += t.Bytes
		}
	})
	return layers, all, nil
}

// flopsByNode returns the FLOPs of each node that has some, with the symbolic
// sizes of [sizes].
func flopsByNode(m *onnx.Model) (map[*onnx.Node]int64, error) {
	_, c, err := sizes(m)
	if err != nil {
		return nil, err
	}
	work := map[*onnx.Node]int64{}
	var mine, theirs []*onnx.Node
	m.Graph.Walk(func(h *onnx.Graph) { mine = append(mine, h.Nodes...) })
	c.Graph.Walk(func(h *onnx.Graph) { theirs = append(theirs, h.Nodes...) })
	for i, n := range theirs {
		f := flops(n, func(v *onnx.Value) []int {
			if s, ok := v.Type.Static(); ok {
				return s
			}
			return nil
		})
		if f > 0 {
			work[mine[i]] = f
		}
	}
	return work, nil
}

// sizes gives every symbolic size of m's inputs a value to measure work with, and
// returns a copy of m with the shapes that follow. They are 1, or, if the model
// has no such shapes (the scales of a detector meet again only if its images
// have some size), larger in all dimensions but the first of an input. Where
// nothing fits, sizes stay open.
func sizes(m *onnx.Model) (map[string]int, *onnx.Model, error) {
	var err error
	for _, n := range []int{1, 32, 64, 224, 256, 640, 0} {
		dims := map[string]int{}
		if n > 0 {
			dims = symbols(m.Graph, n)
		}
		c := m.Clone()
		if err = optimize.Infer(c, optimize.InferOptions{Dims: dims}); err == nil {
			return dims, c, nil
		}
	}
	return nil, nil, err
}

// symbols gives the symbolic sizes of g's inputs a value, those of first
// dimensions 1.
func symbols(g *onnx.Graph, value int) map[string]int {
	dims := map[string]int{}
	for _, v := range g.Inputs {
		for i, d := range v.Type.Dims {
			for _, name := range d.Names() {
				if i == 0 {
					dims[name] = 1
				} else if _, ok := dims[name]; !ok {
					dims[name] = value
				}
			}
		}
	}
	return dims
}

// flops returns the work of a node with a product in it, two for a
// multiply-add. shape returns nil for a value of unknown shape.
func flops(n *onnx.Node, shape func(*onnx.Value) []int) int64 {
	in := func(i int) []int {
		if i >= len(n.In) || n.In[i] == nil {
			return nil
		}
		return shape(n.In[i])
	}
	prod := func(s []int) int64 {
		p := int64(1)
		for _, d := range s {
			p *= int64(d)
		}
		return p
	}
	if n.Domain != "" || len(n.Out) == 0 || n.Out[0] == nil {
		return 0
	}
	a, b, out := in(0), in(1), shape(n.Out[0])
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	switch n.Op {
	case "Conv":
		return 2 * prod(out) * prod(b[1:])
	case "ConvTranspose":
		return 2 * prod(a) * prod(b[1:])
	case "MatMul":
		return 2 * prod(out) * int64(a[len(a)-1])
	case "Gemm":
		if len(out) == 2 {
			return 2 * prod(a) * int64(out[1])
		}
	case "LSTM", "GRU", "RNN":
		if r := in(2); len(a) == 3 && len(r) > 0 {
			return 2 * int64(a[0]) * int64(a[1]) * (prod(b) + prod(r))
		}
	case "Attention":
		if len(a) >= 3 && len(b) >= 3 {
			return 4 * prod(a) * int64(b[len(b)-2])
		}
	}
	return 0
}
