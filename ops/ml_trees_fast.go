package ops

import (
	"math"
	"math/bits"
	"slices"
	"sync"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/forest"
	"github.com/gneiss-run/gneiss/internal/par"
)

// treeKey is a float as an unsigned integer of the same order.
type treeKey interface{ uint32 | uint64 }

func treeKey64(v float64) uint64 {
	b := math.Float64bits(v + 0)
	return b ^ uint64(int64(b)>>63|math.MinInt64)
}

// treeTable is the form of an ensemble in which rows are evaluated: every
// comparison is x <= value (of equality there are two), the two children of a
// node stand side by side after it, and a leaf leads to itself. A step is then a
// subtraction whose borrow is added to the place of the next node, without a
// branch that can be guessed wrong, and several rows or trees take their steps
// together. A node with several parents, as sets of categories have, is there
// for each of them.
//
// NaN is above all values, so it goes to the second child. Nodes that have it go
// to the first look into a copy of the row where NaN is below all values.
type treeTable[K treeKey] struct {
	nodes  []treeStep[K]
	leaves [][2]int32 // by node: where the weights of a leaf begin and end
	roots  []uint32   // places of nodes, in bytes
	// sums are the weights, if they are added up in float32, and single that of
	// each leaf, by node, if each has one.
	sums, single []treeAddend
	copies       int           // features of rows that have copies, or 0 if no node looks into one
	depths       []int         // of the trees
	many         *forest.Table // of keys of 32 bits, nil if this machine has no routines
	masks        *treeMasks
}

// treeStep is a node: the next is at next if x[feature] <= value, else the one
// after it. feature and next are in bytes.
type treeStep[K treeKey] struct {
	value   K
	feature uint32
	next    uint32
}

// treeAddend is a treeWeight of half the size.
type treeAddend struct {
	value float32
	id    int32
}

// treeBlock is the number of rows that are taken through the trees together:
// so long a tree stays in the first-level cache.
const treeBlock = 64

// compile makes the fast forms. It leaves them out where nodes compare in
// another way, or would be many times as many, and of trees without nodes.
func (e *trees) compile() {
	if e.features == 0 || len(e.roots) == 0 || max(len(e.nodes), e.features) > math.MaxInt32/256 {
		return
	}
	for i := range e.nodes {
		n := &e.nodes[i]
		if n.mode != treeLeaf && (n.mode > treeNEQ || n.value != n.value) || n.mode == treeEQ && n.nanIsYes {
			return
		}
	}
	most := 4*len(e.nodes) + 64
	sizes := make([]int, len(e.nodes))
	all := 0
	for _, r := range e.roots {
		if all += e.size(r, sizes, most); all > most {
			return
		}
	}
	e.fast32 = treeTableOf(e, func(v float64) uint32 {
		w := float32(v)
		if float64(w) > v {
			w = math.Nextafter32(w, float32(math.Inf(-1)))
		}
		return forest.Key(w)
	}, func(v float64) bool { return float64(float32(v)) == v })
	e.fast64 = sync.OnceValue(func() *treeTable[uint64] { // few models are given float64
		return treeTableOf(e, treeKey64, func(float64) bool { return true })
	})
}

// size returns how many nodes lie below node i and are it, counted once for each
// way to them, or more than most. sizes are those that are known, else 0.
func (e *trees) size(i int32, sizes []int, most int) int {
	n := &e.nodes[i]
	switch {
	case n.mode == treeLeaf:
		return 1
	case sizes[i] == 0:
		sizes[i] = min(most+1, 1+e.size(n.yes, sizes, most)+e.size(n.no, sizes, most))
	}
	return sizes[i]
}

// treePass is a node of a table that is none of the ensemble: all rows that reach it, none
// of which has NaN there, go to another one.
const treePass = math.MinInt32

// treeTableOf returns the table of e. limit returns the largest K that is at
// most v; exact reports whether it is v.
func treeTableOf[K treeKey](e *trees, limit func(v float64) K, exact func(v float64) bool) *treeTable[K] {
	t := &treeTable[K]{nodes: make([]treeStep[K], 0, len(e.nodes)), leaves: make([][2]int32, 0, len(e.nodes))}
	size := uint32(unsafe.Sizeof(treeStep[K]{}))
	from := make([]int32, 0, 64) // the node of e that each node of a tree is, or a part of one
	depth := make([]int, 0, 64)
	put := func(i int32, far int) {
		from, depth = append(from, i), append(depth, far)
		t.nodes, t.leaves = append(t.nodes, treeStep[K]{}), append(t.leaves, [2]int32{})
	}
	for _, r := range e.roots {
		at := len(t.nodes)
		t.roots = append(t.roots, uint32(at)*size)
		from, depth = from[:0], depth[:0]
		put(r, 0)
		for k := 0; k < len(from); k++ {
			if from[k] == treePass {
				continue
			}
			second := from[k] < 0 // of a comparison for equality
			n, s := &e.nodes[max(from[k], ^from[k])], &t.nodes[at+k]
			next, below := uint32(len(t.nodes))*size, depth[k]+1
			if n.mode == treeLeaf {
				*s = treeStep[K]{value: ^K(0), next: uint32(at+k) * size}
				t.leaves[at+k] = [2]int32{n.yes, n.no}
				continue
			}
			yes, no := n.yes, n.no
			if n.mode == treeGTE || n.mode == treeGT || n.mode == treeNEQ { // x >= v is not x < v
				yes, no = no, yes
			}
			feature := int(n.feature)
			if n.nanIsYes && n.mode <= treeLT || !n.nanIsYes && (n.mode == treeGTE || n.mode == treeGT) {
				feature += e.features
				t.copies = e.features
			}
			v := limit(n.value)
			equal := n.mode == treeEQ || n.mode == treeNEQ
			if (n.mode == treeLT || n.mode == treeGTE || equal && !second) && exact(n.value) {
				v-- // of minus infinity this is below all numbers
			}
			*s = treeStep[K]{value: v, feature: uint32(feature) * uint32(unsafe.Sizeof(K(0))), next: next}
			switch {
			case equal && !second: // x < v, which leads where x > v does, then x <= v
				put(treePass, below)
				put(^from[k], below)
				continue
			case second:
				t.nodes[at+k-1] = treeStep[K]{value: ^K(0) - 1, feature: s.feature, next: next + size}
			}
			put(yes, below)
			put(no, below)
		}
		t.depths = append(t.depths, depth[len(depth)-1]) // nodes come by their distance from the root
	}
	if t32, ok := any(t).(*treeTable[uint32]); ok && max(e.features, t.copies*2) <= 1<<16 {
		t32.many = forest.Best()
	}
	if e.how == treeSum || e.how == treeAverage {
		t.addends(e)
	}
	return t
}

func (t *treeTable[K]) addends(e *trees) {
	t.sums = make([]treeAddend, len(e.weights))
	for i, w := range e.weights {
		t.sums[i] = treeAddend{float32(w.value), w.id}
	}
	single := make([]treeAddend, len(t.nodes))
	for i, l := range t.leaves {
		switch {
		case t.nodes[i].value != ^K(0): // no leaf
		case l[1] != l[0]+1:
			return
		default:
			single[i] = t.sums[l[0]]
		}
	}
	t.single = single
	if s, ok := any(t).(*treeTable[uint32]); ok && s.many != nil {
		s.masks = treeMasksOf(e, s)
	}
}

// treeNext returns the place of the node after the one at place i for the row x.
func treeNext[K treeKey](nodes, x unsafe.Pointer, i uint32) uint32 {
	n := (*treeStep[K])(unsafe.Add(nodes, uintptr(i)))
	_, less := bits.Sub64(uint64(n.value), uint64(*(*K)(unsafe.Add(x, uintptr(n.feature)))), 0)
	return n.next + uint32(-less)&uint32(unsafe.Sizeof(*n))
}

// walk4 takes four rows from four places to leaves. Places only grow, so their
// sum tells when nothing moves any more.
func (t *treeTable[K]) walk4(x0, x1, x2, x3 unsafe.Pointer, at *[4]uint32) {
	nodes := unsafe.Pointer(unsafe.SliceData(t.nodes))
	a, b, c, d := at[0], at[1], at[2], at[3]
	for {
		old := uint64(a) + uint64(b) + uint64(c) + uint64(d)
		a, b, c, d = treeNext[K](nodes, x0, a), treeNext[K](nodes, x1, b), treeNext[K](nodes, x2, c), treeNext[K](nodes, x3, d)
		a, b, c, d = treeNext[K](nodes, x0, a), treeNext[K](nodes, x1, b), treeNext[K](nodes, x2, c), treeNext[K](nodes, x3, d)
		if uint64(a)+uint64(b)+uint64(c)+uint64(d) == old {
			break
		}
	}
	*at = [4]uint32{a, b, c, d}
}

func (t *treeTable[K]) walk(x unsafe.Pointer, at uint32) uint32 {
	nodes := unsafe.Pointer(unsafe.SliceData(t.nodes))
	for {
		next := treeNext[K](nodes, x, at)
		if next == at {
			return at
		}
		at = next
	}
}

// add adds the weights of the leaves that the rows from row on have reached.
func (t *treeTable[K]) add(e *trees, r *treeRow, leaf []uint32, row int, double bool) {
	k := e.targets
	size := uint32(unsafe.Sizeof(treeStep[K]{}))
	switch {
	case t.sums == nil || double:
		for i, l := range leaf {
			w, at := t.leaves[l/size], (row+i)*k
			e.add(e.weights[w[0]:w[1]], r.score[at:at+k], r.has[at:at+k], double)
		}
	case t.single != nil:
		for i, l := range leaf {
			w := &t.single[l/size]
			at := (row+i)*k + int(w.id)
			r.sum[at] += w.value
			r.has[at] = true
		}
	default:
		for i, l := range leaf {
			w, at := t.leaves[l/size], (row+i)*k
			sum, has := r.sum[at:at+k], r.has[at:at+k]
			for j := range t.sums[w[0]:w[1]] {
				a := &t.sums[int(w[0])+j]
				sum[a.id] += a.value
				has[a.id] = true
			}
		}
	}
}

// start clears the scores of n rows; end sets them.
func (t *treeTable[K]) start(e *trees, r *treeRow, n int) {
	clear(r.score[:n*e.targets])
	clear(r.has[:n*e.targets])
	clear(r.sum[:n*e.targets])
}

func (t *treeTable[K]) end(e *trees, r *treeRow, n int, double bool) {
	if t.sums == nil || double {
		return
	}
	for i, v := range r.sum[:n*e.targets] {
		r.score[i] = float64(v)
	}
}

// width returns the number of keys of a row of f features.
func (t *treeTable[K]) width(f int) int {
	if t.copies > 0 {
		return 2 * t.copies
	}
	return f
}

// treeKeys sets keys to those of rows x of f features.
func treeKeys[K treeKey, T float](t *treeTable[K], keys []K, x []T, f int) {
	if t.copies == 0 {
		keysOf(t, keys, x)
		return
	}
	n := t.copies
	for ; len(x) > 0; keys, x = keys[2*n:], x[f:] {
		high, low := keys[:n], keys[n:2*n]
		keysOf(t, high, x[:n])
		for i, k := range high {
			if k == ^K(0) {
				k = 0
			}
			low[i] = k
		}
	}
}

func keysOf[K treeKey, T float](t *treeTable[K], keys []K, x []T) {
	if t.many != nil {
		t.many.Keys(any(keys[:len(x)]).([]uint32), any(x).([]float32))
		return
	}
	for i, v := range x {
		switch {
		case v != v:
			keys[i] = ^K(0)
		case unsafe.Sizeof(v) == 4:
			keys[i] = K(forest.Key(float32(v)))
		default:
			keys[i] = K(treeKey64(float64(v)))
		}
	}
}

// treeEach is trees.each with a table. x has at least e.features columns, which
// treeNext relies on.
func treeEach[K treeKey, T float](c *Call, e *trees, t *treeTable[K], data []T, x treeInput, grain int, double bool, f func(score []float64, has []bool, tmp []float32, i int)) {
	few := par.Grain(len(t.roots), e.nanos()/float64(len(t.roots)))
	if x.n < 4 && few < len(t.roots) {
		treeFew(c, e, t, data, x, few, double, f)
		return
	}
	if t.many != nil {
		grain = (par.Grain(x.n, e.nanos()/2) + treeBlock - 1) &^ (treeBlock - 1)
	}
	par.Run(c.P, x.n, grain, par.With(treeRun[K, T]{e, t, data, x, double, f}))
}

type treeRun[K treeKey, T float] struct {
	e      *trees
	t      *treeTable[K]
	data   []T
	x      treeInput
	double bool
	f      func(score []float64, has []bool, tmp []float32, i int)
}

func (a *treeRun[K, T]) Chunk(lo, hi int) {
	e, x, data := a.e, &a.x, a.data
	r := e.row()
	defer e.pool.Put(r)
	width := a.t.width(x.f)
	keys := treeBuffer[K](r, min(treeBlock, hi-lo)*width)
	for i := lo; i < hi; i += treeBlock {
		n := min(treeBlock, hi-i)
		treeKeys(a.t, keys, data[i*x.f:(i+n)*x.f], x.f)
		a.t.rows(e, r, keys, n, width, a.double)
		for k := range n {
			a.f(r.score[k*e.targets:(k+1)*e.targets], r.has[k*e.targets:(k+1)*e.targets], r.tmp, i+k)
		}
	}
}

// treeBuffer returns room for n keys.
func treeBuffer[K treeKey](r *treeRow, n int) []K {
	words := n * int(unsafe.Sizeof(K(0))) / 8
	r.keys = slices.Grow(r.keys[:0], words+1)[:words+1]
	return unsafe.Slice((*K)(unsafe.Pointer(unsafe.SliceData(r.keys))), n)
}

// rows evaluates n rows of f keys.
func (t *treeTable[K]) rows(e *trees, r *treeRow, x []K, n, f int, double bool) {
	if keys, ok := any(x).([]uint32); ok && t.many != nil && n >= 4 {
		t.columns(e, r, keys, n, f, double)
		return
	}
	t.start(e, r, n)
	base, width := unsafe.Pointer(unsafe.SliceData(x)), uintptr(f)*unsafe.Sizeof(K(0))
	if n < 4 { // four trees at once
		for i := range n {
			p := unsafe.Add(base, uintptr(i)*width)
			j := 0
			for ; j+4 <= len(t.roots); j += 4 {
				at := [4]uint32(t.roots[j:])
				t.walk4(p, p, p, p, &at)
				for l := range at {
					t.add(e, r, at[l:l+1], i, double)
				}
			}
			for ; j < len(t.roots); j++ {
				at := [1]uint32{t.walk(p, t.roots[j])}
				t.add(e, r, at[:], i, double)
			}
		}
	} else {
		for _, root := range t.roots {
			for first := 0; first < n; first += 4 {
				i := min(first, n-4) // rows that are walked a second time do not count again
				p := unsafe.Add(base, uintptr(i)*width)
				at := [4]uint32{root, root, root, root}
				t.walk4(p, unsafe.Add(p, width), unsafe.Add(p, 2*width), unsafe.Add(p, 3*width), &at)
				t.add(e, r, at[first-i:], first, double)
			}
		}
	}
	t.end(e, r, n, double)
}

// treeFew evaluates few rows on all threads: these share the trees, and the
// weights are added up in their order afterwards.
func treeFew[K treeKey, T float](c *Call, e *trees, t *treeTable[K], data []T, x treeInput, grain int, double bool, f func(score []float64, has []bool, tmp []float32, i int)) {
	leaf := Scratch[uint32](c, len(t.roots))
	r := e.row()
	defer e.pool.Put(r)
	keys := treeBuffer[K](r, t.width(x.f))
	for i := range x.n {
		score, has := r.score[:e.targets], r.has[:e.targets]
		treeKeys(t, keys, data[i*x.f:(i+1)*x.f], x.f)
		p := unsafe.Pointer(unsafe.SliceData(keys))
		par.Run(c.P, len(t.roots), grain, par.With(treeWalk[K]{t, p, leaf}))
		if c.Ctx().Err() != nil {
			return
		}
		t.start(e, r, 1)
		for l := range leaf {
			t.add(e, r, leaf[l:l+1], 0, double)
		}
		t.end(e, r, 1, double)
		f(score, has, r.tmp, i)
	}
}

// treeWalk finds the leaves of trees for one row.
type treeWalk[K treeKey] struct {
	t    *treeTable[K]
	row  unsafe.Pointer
	leaf []uint32
}

func (a *treeWalk[K]) Chunk(lo, hi int) {
	t, p := a.t, a.row
	for ; lo+4 <= hi; lo += 4 {
		at := [4]uint32(t.roots[lo:])
		t.walk4(p, p, p, p, &at)
		copy(a.leaf[lo:], at[:])
	}
	for ; lo < hi; lo++ {
		a.leaf[lo] = t.walk(p, t.roots[lo])
	}
}
