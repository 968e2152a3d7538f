package ops

import (
	"slices"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/forest"
	"github.com/gneiss-run/gneiss/internal/kernels/move"
)

// treeMasks are the trees of a table whose leaves are few and have one weight each, of one target: all
// comparisons of such a tree for 16 rows take less time than walking through it.
type treeMasks struct {
	t    *forest.Table
	list []forest.Tree
	ids  []int32 // by tree: its target
	has  []bool  // targets that have a tree
}

// treeMasksOf returns nil if some tree has no such form, or this machine no routine for it.
func treeMasksOf(e *trees, t *treeTable[uint32]) *treeMasks {
	m := &treeMasks{t: forest.Best(), list: make([]forest.Tree, len(t.roots)), ids: make([]int32, len(t.roots)), has: make([]bool, e.targets)}
	if m.t == nil || max(e.features, t.copies*2) > 1<<16 {
		return nil
	}
	for i, root := range t.roots {
		l := maskLister{table: t, tree: &m.list[i]}
		if !l.list(root, 0) {
			return nil
		}
		m.ids[i], m.has[l.id] = l.id, true
	}
	return m
}

// maskLister lists the nodes and leaves of a tree.
type maskLister struct {
	table *treeTable[uint32]
	tree  *forest.Tree
	id    int32
}

// list adds what is below the node at a place. depth bounds the ways through nodes that have no choice.
func (l *maskLister) list(at uint32, depth int) bool {
	const size = uint32(unsafe.Sizeof(treeStep[uint32]{}))
	t, n := l.tree, l.table.nodes[at/size]
	switch {
	case depth > 2*forest.MaxLeaves:
		return false
	case n.next == at: // a leaf
		w := l.table.single[at/size]
		if t.Leaves == forest.MaxLeaves || t.Leaves > 0 && w.id != l.id {
			return false
		}
		t.Values[t.Leaves], l.id = w.value, w.id
		t.Leaves++
		return true
	case n.value == ^uint32(0)-1: // all go to the first, see treePass
		return l.list(n.next, depth+1)
	}
	from, node := t.Leaves, len(t.Nodes)
	t.Nodes = append(t.Nodes, forest.Node{Value: n.value, Feature: n.feature * forest.Rows})
	t.Keys = max(t.Keys, (int(n.feature)/4+1)*forest.Rows)
	if !l.list(n.next, depth+1) {
		return false
	}
	drop := uint64(0)
	for i := from; i < t.Leaves; i++ {
		drop |= 1 << i
	}
	t.Nodes[node].Drop = [2]uint32{uint32(drop), uint32(drop >> 32)}
	return l.list(n.next+size, depth+1)
}

// rows sets the answers for n rows of f keys, at most forest.Rows.
func (m *treeMasks) rows(e *trees, r *treeRow, x []uint32, n, f int) {
	r.columns = slices.Grow(r.columns[:0], f*forest.Rows)[:f*forest.Rows]
	r.sums = slices.Grow(r.sums[:0], e.targets*forest.Rows)[:e.targets*forest.Rows]
	clear(r.sums)
	move.Transpose(r.columns, x[:n*f], f, n, forest.Rows, f)
	for i := range m.list {
		m.t.Add(&m.list[i], r.columns, r.sums[int(m.ids[i])*forest.Rows:][:forest.Rows], n)
	}
	for i := range n {
		at := i * e.targets
		copy(r.has[at:], m.has)
		for k := range e.targets {
			r.score[at+k] = float64(r.sums[k*forest.Rows+i])
		}
	}
}
