package prune

import (
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
)

// A unit is what can be removed on its own: a channel, a neuron, a head. Units
// are numbers; units that must go together are joined.

// fixed stands in a factor for an element that no unit covers: it stays.
const fixed = -1

// factor is a part of a dimension: size elements, each the matter of a unit. A
// factor without units is opaque: nothing of it is ever removed.
type factor struct {
	size  onnx.Dim
	units []int
}

// axis is one dimension as a product of factors, the outermost first. Those of
// size 1 are left out, so the empty axis has size 1.
type axis []factor

// layout says of each dimension of a value what it is made of.
type layout []axis

// opaque is a dimension of which nothing is removed.
func opaque(d onnx.Dim) axis {
	if d.Is(1) {
		return nil
	}
	return axis{{size: d}}
}

// opaques is opaque for each dimension.
func opaques(ds []onnx.Dim) layout {
	l := make(layout, len(ds))
	for i, d := range ds {
		l[i] = opaque(d)
	}
	return l
}

// labelled reports whether something of the axis may be removed.
func (a axis) labelled() bool {
	return slices.ContainsFunc(a, func(f factor) bool { return f.units != nil })
}

func (l layout) labelled() bool { return slices.ContainsFunc(l, axis.labelled) }

// of makes a dimension of the units.
func of(units []int) axis {
	if len(units) == 1 {
		return nil // a dimension of 1 may be broadcast, so it is none of the units' matter
	}
	return axis{{onnx.Size(len(units)), units}}
}

// pin says why a unit cannot be removed.
type pin struct {
	node *onnx.Node // nil: it is an input or output of the model
	why  string
}

// unionFind keeps sets of numbers.
type unionFind struct{ parent []int }

func (u *unionFind) add() int {
	u.parent = append(u.parent, len(u.parent))
	return len(u.parent) - 1
}

func (u *unionFind) find(x int) int {
	for u.parent[x] != x {
		u.parent[x] = u.parent[u.parent[x]]
		x = u.parent[x]
	}
	return x
}

// join makes one set of two; the smaller root stays, so the order of joining
// does not show in the result.
func (u *unionFind) join(a, b int) (root, gone int) {
	a, b = u.find(a), u.find(b)
	if a > b {
		a, b = b, a
	}
	u.parent[b] = a
	return a, b
}

// units are the units of a graph, which of them are joined, in which group they
// are and which must stay.
type units struct {
	sets   unionFind   // of units that go together
	groups unionFind   // of groups among whose units one fraction is removed
	group  []int       // of each unit
	pins   map[int]pin // by the root of a unit
	node   *onnx.Node  // whose inputs and outputs are coupled now
}

func newUnits() *units { return &units{pins: map[int]pin{}} }

// fresh makes n units, each in a group of its own: what a dimension of a weight
// that is read is made of may come from several layers.
func (u *units) fresh(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = u.sets.add()
		u.group = append(u.group, u.groups.add())
	}
	return out
}

// gather makes one group of all units of an axis.
func (u *units) gather(a axis) {
	first := fixed
	for _, f := range a {
		for _, x := range f.units {
			switch {
			case x == fixed:
			case first == fixed:
				first = x
			default:
				u.groups.join(u.group[first], u.group[x])
			}
		}
	}
}

// unite makes two units go together; either may be fixed.
func (u *units) unite(a, b int, why string) {
	switch {
	case a == fixed && b == fixed:
		return
	case a == fixed:
		u.keep(b, why)
		return
	case b == fixed:
		u.keep(a, why)
		return
	}
	u.groups.join(u.group[a], u.group[b])
	root, gone := u.sets.join(a, b)
	if p, ok := u.pins[gone]; ok && root != gone {
		delete(u.pins, gone)
		if _, has := u.pins[root]; !has {
			u.pins[root] = p
		}
	}
}

// keep pins a unit.
func (u *units) keep(unit int, why string) {
	if unit == fixed {
		return
	}
	root := u.sets.find(unit)
	if _, ok := u.pins[root]; !ok {
		u.pins[root] = pin{u.node, why}
	}
}

// keepAxis pins all units of an axis.
func (u *units) keepAxis(a axis, why string) {
	for _, f := range a {
		for _, x := range f.units {
			u.keep(x, why)
		}
	}
}

func (u *units) keepAll(l layout, why string) {
	for _, a := range l {
		u.keepAxis(a, why)
	}
}

// flat returns the unit of each index of an axis; ok is false if its size is not
// known. Of several factors with units the first counts: a removed index of two
// of them would not leave a dimension behind that is a product.
func (u *units) flat(a axis) (out []int, ok bool) {
	out = []int{fixed}
	seen := false
	for _, f := range a {
		n, known := f.size.Size()
		if !known {
			return nil, false
		}
		if f.units != nil && seen {
			u.keepAxis(axis{f}, "one dimension is made of several that could be pruned")
			f.units = nil
		}
		seen = seen || f.units != nil
		next := make([]int, 0, len(out)*n)
		for _, outer := range out {
			for i := range n {
				if f.units != nil {
					next = append(next, f.units[i])
				} else {
					next = append(next, outer)
				}
			}
		}
		out = next
	}
	return out, true
}

// match makes two dimensions lose the same indices and returns the one that says
// more about how it is composed.
func (u *units) match(a, b axis) axis {
	const why = "it joins this dimension with one that is fixed"
	same := len(a) == len(b)
	for i := 0; same && i < len(a); i++ {
		same = a[i].size.Equal(b[i].size)
	}
	if same {
		out := slices.Clone(a)
		for i := range a {
			switch x, y := a[i].units, b[i].units; {
			case x != nil && y != nil:
				for j := range x {
					u.unite(x[j], y[j], why)
				}
			case x != nil:
				u.keepAxis(a[i:i+1], why)
			case y != nil:
				u.keepAxis(b[i:i+1], why)
				out[i] = b[i]
			}
		}
		return out
	}
	x, xok := u.flat(a)
	y, yok := u.flat(b)
	if !xok || !yok || len(x) != len(y) {
		u.keepAxis(a, "it joins dimensions of unlike sizes")
		u.keepAxis(b, "it joins dimensions of unlike sizes")
		return a
	}
	for i := range x {
		u.unite(x[i], y[i], why)
	}
	if len(b) > len(a) {
		return b
	}
	return a
}

// split parts factor f into first times the rest. The units go to the first part,
// so that one of them stands for a block that follows each other, or, if inner
// is set, to the rest.
func (u *units) split(f factor, first int, inner bool) (head, tail factor) {
	n, _ := f.size.Size()
	rest := n / first
	head, tail = factor{size: onnx.Size(first)}, factor{size: onnx.Size(rest)}
	if f.units == nil {
		return head, tail
	}
	const why = "it parts a dimension of which some is fixed"
	if inner {
		tail.units = slices.Clone(f.units[:rest])
	} else {
		head.units = make([]int, first)
	}
	for i := range first {
		for j := range rest {
			x := f.units[i*rest+j]
			if inner {
				u.unite(tail.units[j], x, why)
				if tail.units[j] == fixed {
					tail.units[j] = x
				}
				continue
			}
			if j == 0 {
				head.units[i] = x
			} else {
				u.unite(head.units[i], x, why)
				if head.units[i] == fixed {
					head.units[i] = x
				}
			}
		}
	}
	return head, tail
}
