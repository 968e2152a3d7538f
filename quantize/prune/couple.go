package prune

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// parting is a dimension that a node parts in two: units of it are either blocks
// or what has the same place in each block. Which of them works is tried out.
type parting struct {
	node  *onnx.Node
	place int // among the partings of the node
}

// coupling says which dimensions of a graph's values lose which indices
// together. It is built by one walk over the nodes in order.
type coupling struct {
	*units
	layouts  map[*onnx.Value]layout
	inner    map[parting]bool // what is taken apart into units with the same place in each block
	partings []parting        // in order of the graph
	parted   map[parting][]int
	// adapt are changes of nodes that follow from removed units, besides those of
	// initializers: attributes and constants that hold sizes.
	adapt []func(s *shrinker) error
}

// couple walks over g, whose types are inferred. after, which may be nil, is told
// of each node after it was looked at.
func couple(g *onnx.Graph, inner map[parting]bool, after func(*coupling, *onnx.Node)) *coupling {
	c := &coupling{units: newUnits(), layouts: map[*onnx.Value]layout{}, inner: inner, parted: map[parting][]int{}}
	for _, v := range g.Inputs { // those with a default are among them
		c.layouts[v] = opaques(v.Type.Dims)
	}
	for _, n := range g.Nodes {
		c.node = n
		if why := c.visit(n); why != "" {
			c.giveUp(n, why)
		}
		c.gather(c.outputs(n))
		if after != nil {
			after(c, n)
		}
	}
	c.node = nil
	for _, v := range g.Outputs {
		if l, ok := c.layouts[v]; ok {
			c.keepAll(l, fmt.Sprintf("output %q of the model has it", v.Name))
		} else {
			c.layouts[v] = opaques(v.Type.Dims)
		}
	}
	return c
}

// visit couples the dimensions of one node's inputs and outputs. It returns why
// it cannot, if it cannot. A node that is not as its operator wants it, in a way
// that inference did not see, may make a rule panic.
func (c *coupling) visit(n *onnx.Node) (why string) {
	defer func() {
		if r := recover(); r != nil {
			why = fmt.Sprintf("its inputs or attributes do not fit: %v", r)
		}
	}()
	if len(n.Bodies()) > 0 {
		return "it has nested graphs"
	}
	r := rules[n.Op]
	if n.Domain != "" || r == nil {
		return "pruning does not know the operator"
	}
	for _, v := range slices.Concat(n.In, n.Out) {
		if v != nil && (v.Type.Kind != onnx.TensorKind || !v.Type.Ranked) {
			return "the rank of a value is not known"
		}
	}
	return r(c, n)
}

// giveUp pins all that a node reads, so that what it computes stays.
func (c *coupling) giveUp(n *onnx.Node, why string) {
	read := slices.Clone(n.In)
	for _, b := range n.Bodies() {
		read = append(read, b.Captures()...)
	}
	for _, v := range read {
		if v == nil {
			continue
		}
		if l, ok := c.layouts[v]; ok {
			c.keepAll(l, why)
		} else {
			c.layouts[v] = opaques(v.Type.Dims)
		}
	}
	for _, v := range n.Out {
		if v != nil {
			c.layouts[v] = opaques(v.Type.Dims)
		}
	}
}

// layout returns what is known of v. An initializer that is new has units of its
// own for each of its dimensions.
func (c *coupling) layout(v *onnx.Value) layout {
	if l, ok := c.layouts[v]; ok {
		return l
	}
	l := opaques(v.Type.Dims)
	if t := v.Const; t != nil && t.DType() != tensor.String && !t.DType().IsPacked() {
		for i, n := range t.Shape() {
			if n > 1 {
				l[i] = of(c.fresh(n))
			}
		}
	}
	c.layouts[v] = l
	return l
}

// part is split for a dimension that n parts; see parting.
func (c *coupling) part(n *onnx.Node, place int, f factor, first int) (head, tail factor) {
	p := parting{n, place}
	head, tail = c.split(f, first, c.inner[p])
	if f.units != nil {
		if _, ok := c.parted[p]; !ok {
			c.partings = append(c.partings, p)
		}
		c.parted[p] = f.units
	}
	return head, tail
}

// stuck reports whether the units of a parted dimension cannot be removed, or
// have become a single one.
func (c *coupling) stuck(p parting) bool {
	free := map[int]bool{}
	for _, x := range c.parted[p] {
		if x == fixed {
			continue
		}
		root := c.sets.find(x)
		if _, pinned := c.pins[root]; !pinned {
			free[root] = true
		}
	}
	return len(free) < 2
}

// settle couples g, and takes dimensions apart the other way where that leaves
// something to remove: a head is a block of neighbours, but where queries, keys
// and values of all heads are beside each other, blocks are fixed. If turning
// one parting does not help, it turns all that are stuck in the same group: the
// normalisations of groups of channels along a residual stream.
func settle(g *onnx.Graph, after func(*coupling, *onnx.Node)) *coupling {
	inner := map[parting]bool{}
	tried := map[parting]bool{}
	c := couple(g, inner, after)
	for {
		i := slices.IndexFunc(c.partings, func(p parting) bool { return !tried[p] && c.stuck(p) })
		if i < 0 {
			return c
		}
		p := c.partings[i]
		tried[p] = true
		for _, turn := range [][]parting{{p}, c.stuckWith(p)} {
			trial := maps.Clone(inner)
			for _, q := range turn {
				trial[q] = true
			}
			if next := couple(g, trial, after); !next.stuck(p) {
				c, inner = next, trial
				break
			}
		}
	}
}

// stuckWith returns the partings that are stuck and in the same group as p.
func (c *coupling) stuckWith(p parting) []parting {
	groups := func(p parting) map[int]bool {
		in := map[int]bool{}
		for _, x := range c.parted[p] {
			if x != fixed {
				in[c.groups.find(c.group[x])] = true
			}
		}
		return in
	}
	mine := groups(p)
	var out []parting
	for _, q := range c.partings {
		if !c.stuck(q) {
			continue
		}
		for r := range groups(q) {
			if mine[r] {
				out = append(out, q)
				break
			}
		}
	}
	return out
}
