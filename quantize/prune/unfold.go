package prune

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// smallFolded is up to how many bytes a constant that was computed stays one.
const smallFolded = 4 << 10

// unfolder makes nodes again of constants that simplify has computed: masks, grids and
// positions are much larger than what they are computed from.
type unfolder struct {
	g      *onnx.Graph
	was    map[string]*onnx.Value    // values of the graph before
	folded map[string]*tensor.Tensor // its constants after simplify, by name
	consts map[string]*onnx.Value    // of g
	made   map[*onnx.Node]*onnx.Node
	first  *onnx.Node
}

// newUnfolder notes what simplify made of was, which is g now.
func newUnfolder(g, was *onnx.Graph) *unfolder {
	u := &unfolder{g: g, was: map[string]*onnx.Value{}, folded: map[string]*tensor.Tensor{}, made: map[*onnx.Node]*onnx.Node{}}
	for _, v := range was.Consts {
		u.was[v.Name] = v
	}
	for _, n := range was.Nodes {
		for _, v := range n.Out {
			if v != nil {
				u.was[v.Name] = v
			}
		}
	}
	for _, v := range g.Consts {
		u.folded[v.Name] = v.Const
	}
	return u
}

// unfold has the constants that lost nothing computed again where that makes the model smaller.
func (u *unfolder) unfold() {
	u.consts = map[string]*onnx.Value{}
	for _, v := range u.g.Consts {
		u.consts[v.Name] = v
	}
	if len(u.g.Nodes) > 0 {
		u.first = u.g.Nodes[0]
	}
	for _, v := range slices.Clone(u.g.Consts) {
		o := u.was[v.Name]
		if o == nil || o.From == nil || v.Const == nil || v.Const != u.folded[v.Name] || len(v.Const.Bytes()) <= smallFolded || u.g.IsOutput(v) || u.g.IsOutput(o) {
			continue
		}
		if bytes, ok := u.cost(o.From, map[*onnx.Node]bool{}); !ok || 2*bytes > len(v.Const.Bytes()) {
			continue
		}
		w := u.node(o.From).Out[slices.Index(o.From.Out, o)]
		for _, n := range slices.Clone(v.Users()) {
			for i, x := range n.In {
				if x == v {
					n.SetInput(i, w)
				}
			}
		}
		if v.Uses() == 0 {
			w.Name, v.Name = v.Name, w.Name
		}
	}
	u.g.Prune()
}

// leaf returns the constant that o is for what is computed again, nil if it is computed, too.
func (u *unfolder) leaf(o *onnx.Value) *tensor.Tensor {
	if o.From == nil {
		return o.Const
	}
	if t := u.folded[o.Name]; t != nil && len(t.Bytes()) <= smallFolded {
		return t
	}
	return nil
}

// cost returns the bytes of what n is computed from and that g does not have; ok is false
// if it cannot be computed from constants.
func (u *unfolder) cost(n *onnx.Node, seen map[*onnx.Node]bool) (bytes int, ok bool) {
	if seen[n] || u.made[n] != nil {
		return 0, true
	}
	seen[n] = true
	if len(n.Bodies()) > 0 || len(seen) > 256 {
		return 0, false
	}
	for _, o := range n.In {
		if o == nil {
			continue
		}
		if t := u.leaf(o); t != nil {
			if c := u.consts[o.Name]; c == nil || c.Const != t {
				bytes += len(t.Bytes())
			}
			continue
		}
		if o.From == nil {
			return 0, false
		}
		more, ok := u.cost(o.From, seen)
		if !ok {
			return 0, false
		}
		bytes += more
	}
	return bytes, true
}

// node puts n, with what it reads, in front of the nodes of g.
func (u *unfolder) node(n *onnx.Node) *onnx.Node {
	if k := u.made[n]; k != nil {
		return k
	}
	in := make([]*onnx.Value, len(n.In))
	for i, o := range n.In {
		if o == nil {
			continue
		}
		t := u.leaf(o)
		if t == nil {
			in[i] = u.node(o.From).Out[slices.Index(o.From.Out, o)]
			continue
		}
		c := u.consts[o.Name]
		if c == nil || c.Const != t {
			c = u.g.AddConst(u.g.NewConst(u.g.FreshName(o.Name), t))
			u.consts[o.Name] = c
		}
		in[i] = c
	}
	k := u.g.NewNodeIn(n.Domain, n.Op, slices.Clone(n.Attrs), in, len(n.Out))
	k.Name = n.Name
	for i, o := range n.Out {
		if o == nil {
			k.Out[i] = nil
		} else {
			k.Out[i].Type = o.Type
		}
	}
	u.g.Insert(u.first, k)
	u.made[n] = k
	return k
}
