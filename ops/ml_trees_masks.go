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
	list []forest.Tree // without leaves where a tree has no such form
	all  bool          // all have it
	ids  []int32       // by tree: its target
	has  []bool        // targets that have a tree of the form
}

// treeMasksOf returns nil if no tree has such a form.
func treeMasksOf(e *trees, t *treeTable[uint32]) *treeMasks {
	m := &treeMasks{list: make([]forest.Tree, len(t.roots)), all: true, ids: make([]int32, len(t.roots)), has: make([]bool, e.targets)}
	some := false
	for i, root := range t.roots {
		l := maskLister{table: t, tree: &m.list[i]}
		if !l.list(root, 0) {
			m.list[i], m.all = forest.Tree{}, false
			continue
		}
		m.ids[i], m.has[l.id], some = l.id, true, true
	}
	if !some {
		return nil
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

// columns evaluates n rows of f keys, at most forest.Rows, whose keys it puts side by side.
func (t *treeTable[K]) columns(e *trees, r *treeRow, x []uint32, n, f int, double bool) {
	r.columns = slices.Grow(r.columns[:0], f*forest.Rows)[:f*forest.Rows]
	move.Transpose(r.columns, x[:n*f], f, n, forest.Rows, f)
	masks := t.masks
	if double {
		masks = nil
	}
	if masks != nil && masks.all {
		masks.rows(t.many, e, r, n)
		return
	}
	t.start(e, r, n)
	steps := unsafe.Slice((*forest.Step)(unsafe.Pointer(unsafe.SliceData(t.nodes))), len(t.nodes))
	for i, root := range t.roots {
		if masks != nil && masks.list[i].Leaves > 0 {
			sums := r.columnSums(1)
			t.many.Add(&masks.list[i], r.columns, sums, n)
			for k, v := range sums[:n] {
				at := k*e.targets + int(masks.ids[i])
				r.sum[at] += v
				r.has[at] = true
			}
			continue
		}
		t.many.Walk(steps, root, t.depths[i], r.columns, &r.places, n)
		t.add(e, r, r.places[:n], 0, double)
	}
	t.end(e, r, n, double)
}

// columnSums returns sums of 0 for all rows, of k targets.
func (r *treeRow) columnSums(k int) []float32 {
	r.sums = slices.Grow(r.sums[:0], k*forest.Rows)[:k*forest.Rows]
	clear(r.sums)
	return r.sums
}

// rows sets the answers for n rows.
func (m *treeMasks) rows(t *forest.Table, e *trees, r *treeRow, n int) {
	sums := r.columnSums(e.targets)
	for i := range m.list {
		t.Add(&m.list[i], r.columns, sums[int(m.ids[i])*forest.Rows:][:forest.Rows], n)
	}
	for i := range n {
		at := i * e.targets
		copy(r.has[at:], m.has)
		for k := range e.targets {
			r.score[at+k] = float64(sums[k*forest.Rows+i])
		}
	}
}
