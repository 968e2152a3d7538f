package optimize

import (
	"fmt"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// selection is what a Slice or a Gather of one index takes: [lo, hi) of an axis, as Slice reads these.
type selection struct {
	axis, lo, hi int
	exact        bool // it is known that the axis has them
}

// selectionOf returns what n selects of its input 0, if it is few and always the same; drops tells
// that the axis is not in the result.
func selectionOf(n *onnx.Node) (s selection, drops, ok bool) {
	if n.Domain != "" || len(n.In) == 0 || n.In[0] == nil || n.In[0].Type.Rank() < 2 {
		return s, false, false
	}
	x := n.In[0].Type
	switch n.Op {
	case "Gather":
		i := input(n, 1)
		if i == nil {
			return s, false, false
		}
		c := constOf(i)
		if c == nil || c.Rank() > 1 || c.Len() != 1 {
			return s, false, false
		}
		at, err := ops.IntsOf(c)
		if err != nil {
			return s, false, false
		}
		s = selection{axis: int(intAttr(n, "axis", 0)), lo: at[0], hi: at[0] + 1, exact: true}
		if s.axis < 0 {
			s.axis += len(x.Dims)
		}
		if s.axis < 0 || s.axis >= len(x.Dims) {
			return s, false, false
		}
		drops = c.Rank() == 0
	case "Slice":
		if s.axis, s.lo, s.hi, ok = sliceOf(n); !ok {
			return s, false, false
		}
	default:
		return s, false, false
	}
	size, known := x.Dims[s.axis].Size()
	if !known {
		if s.lo == -1 && (s.exact || s.hi >= math.MaxInt32) {
			s.hi = math.MaxInt
			return s, drops, true
		}
		return s, drops, s.lo != -1 && s.lo != math.MaxInt && s.hi == s.lo+1
	}
	if s.exact && s.lo == -1 {
		s.hi = size
	}
	s.lo, s.hi, s.exact = clampTo(s.lo, size), clampTo(s.hi, size), true
	return s, drops, s.lo < s.hi && 2*(s.hi-s.lo) <= size
}

// of adds the node that selects from v.
func (s selection) of(b *ops.Builder, v *onnx.Value) *onnx.Value {
	if s.exact && (s.hi == s.lo+1 || s.lo == -1) { // the type then says that there is one
		return b.Op("Gather", onnx.NewAttrs("axis", s.axis), v, b.Ints(s.lo))
	}
	return b.Op("Slice", nil, v, b.Ints(s.lo), b.Ints(s.hi), b.Ints(s.axis))
}

// selections computes only what is selected. Where all that is read of a value is one part along an
// axis, as the class token behind a transformer is, the operators that go along that axis row by row
// are applied to that part of their inputs, as far up as nothing else reads more. It is done where a
// product gets smaller by it; other operators would gain less than the joins with their neighbours.
func (s *state) selections() error {
	outs := s.outputs()
	var err error
	s.g.Walk(func(g *onnx.Graph) {
		if err == nil && g.Opsets[""] >= 13 {
			x := selector{s: s, g: g, outs: outs, narrow: map[*onnx.Node]*narrowed{}}
			err = x.run()
		}
	})
	return err
}

// selector is the pass over one graph.
type selector struct {
	s      *state
	g      *onnx.Graph
	outs   map[*onnx.Value]bool
	narrow map[*onnx.Node]*narrowed
}

// narrowed is a node that is to compute a selection of its output.
type narrowed struct {
	sel   selection
	route *route
	group *narrowed // its root tells whether a product is among them
	heavy bool
}

func (n *narrowed) root() *narrowed {
	for n.group != n {
		n = n.group
	}
	return n
}

func (x *selector) run() error {
	for _, n := range slices.Backward(x.g.Nodes) {
		x.visit(n)
	}
	made := map[*onnx.Value]*onnx.Value{}
	type cut struct {
		v   *onnx.Value
		sel selection
	}
	cuts := map[cut]*onnx.Value{}
	for _, n := range slices.Clone(x.g.Nodes) {
		k := x.narrow[n]
		if k == nil || !k.root().heavy || !x.s.more() {
			continue
		}
		b := ops.NewBuilder(x.g)
		b.Set, b.Env = x.s.set, x.s.env
		in := slices.Clone(n.In)
		for i, axis := range k.route.in {
			if axis < 0 {
				continue
			}
			c := cut{in[i], selection{axis, k.sel.lo, k.sel.hi, k.sel.exact}}
			if v := made[in[i]]; v != nil {
				in[i] = v
				continue
			}
			if cuts[c] == nil {
				cuts[c] = c.sel.of(b, in[i])
			}
			in[i] = cuts[c]
		}
		out := k.route.make(b, n, in)
		if b.Err() != nil { // what is made is not in the graph
			if x.s.o.Check {
				return fmt.Errorf("%v: %w", n, b.Err())
			}
			return nil
		}
		for _, m := range b.Nodes {
			m.Name = n.Name
		}
		after := b.Nodes
		x.g.Insert(n, b.Nodes...)
		b.Nodes = nil
		made[n.Out[0]] = out
		for _, u := range slices.Clone(n.Out[0].Users()) {
			sel, drops, ok := selectionOf(u)
			if !ok || sel != k.sel || u.In[0] != n.Out[0] {
				continue
			}
			v := out
			if drops {
				v = b.Op("Squeeze", nil, out, b.Ints(sel.axis))
				if err := b.Err(); err != nil {
					return fmt.Errorf("%v: %w", u, err)
				}
				b.Nodes[0].Name = u.Name
				after = append(after, b.Nodes...)
				b.Insert(u)
			}
			v.Type = refine(v, u.Out[0])
			x.g.Replace(u.Out[0], v)
		}
		x.s.rewrote("selections", []*onnx.Node{n}, after)
	}
	return nil
}

// visit narrows n if all that reads its output reads the same part of it.
func (x *selector) visit(n *onnx.Node) {
	if len(n.Out) == 0 || n.Out[0] == nil || n.Out[0].Uses() == 0 || x.outs[n.Out[0]] {
		return
	}
	for _, v := range n.Out[1:] {
		if v != nil && (v.Uses() > 0 || x.outs[v]) {
			return
		}
	}
	var want *selection
	var readers []*narrowed
	for _, u := range n.Out[0].Users() {
		if u.Graph != x.g {
			return
		}
		var got selection
		if k := x.narrow[u]; k != nil {
			readers = append(readers, k)
			axis := -1
			for i, v := range u.In {
				if v != n.Out[0] {
					continue
				}
				if i >= len(k.route.in) || k.route.in[i] < 0 || axis >= 0 && axis != k.route.in[i] {
					return
				}
				axis = k.route.in[i]
			}
			got = selection{axis, k.sel.lo, k.sel.hi, k.sel.exact}
		} else {
			s, _, ok := selectionOf(u)
			if !ok || u.In[0] != n.Out[0] {
				return
			}
			got = s
		}
		if want != nil && *want != got {
			return
		}
		want = &got
	}
	if want == nil {
		return
	}
	r := routeOf(n, *want)
	if r == nil {
		return
	}
	k := &narrowed{sel: *want, route: r, heavy: r.heavy}
	k.group = k
	for _, m := range readers {
		if o := m.root(); o != k {
			k.heavy = k.heavy || o.heavy
			o.group = k
		}
	}
	x.narrow[n] = k
}
