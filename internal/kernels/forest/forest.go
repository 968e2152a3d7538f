// Package forest evaluates decision trees for many rows at a time. Small trees do so without a step from
// node to node: all comparisons of a tree are made, and each that fails rules leaves out. In large ones
// eight rows take their steps together.
//
// Source: Lucchese et al., QuickScorer: a Fast Algorithm to Rank Documents with Additive Ensembles of
// Regression Trees, SIGIR 2015.
package forest

import (
	"math"
	"math/bits"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// Rows is how many rows lie beside each other: the keys of feature f are keys[f*Rows : (f+1)*Rows].
const Rows = 64

// MaxLeaves is the most leaves of a tree.
const MaxLeaves = 64

// Node is a comparison: rows whose key of a feature is larger than Value cannot reach the leaves in
// Drop. Bit 0 of word 0 is the first leaf of the tree in the order in which a key that is not
// larger comes first, bit 0 of word 1 the 33rd.
type Node struct {
	Value   uint32
	Feature uint32 // offset of its keys in bytes, 4·Rows·f
	Drop    [2]uint32
}

// Tree is a tree of which each leaf has one value.
type Tree struct {
	Nodes  []Node
	Leaves int // at most MaxLeaves
	Keys   int // Rows for each feature up to the last that nodes look into: so many keys there must be
	Values [MaxLeaves]float32
}

// Table is the routines of one instruction set.
type Table struct {
	Name string
	// Add adds to sums, Rows of them, the values of the leaves that rows reach. It does so for the first
	// rows, and may for others too.
	Add func(t *Tree, keys []uint32, sums []float32, rows int)
	// Walk sets at to the places of the leaves that rows reach from the step at root by at most depth
	// steps. It does so for the first rows, and may for others too. There must be keys of all features that steps look into.
	Walk func(steps []Step, root uint32, depth int, keys []uint32, at *[Rows]uint32, rows int)
	// Keys sets dst to the keys of x, as many: integers of the same order, that of NaN above all.
	Keys func(dst []uint32, x []float32)
}

// Step is a node of a tree: a row whose key of the feature is not larger than Value goes to the
// step at Next, others to the one after it. A leaf leads to itself, whatever the key: its Value is the largest.
// Steps lead to later ones.
type Step struct {
	Value   uint32
	Feature uint32 // 4·f
	Next    uint32 // in bytes
}

// Key returns the key of a number that is not NaN.
func Key(v float32) uint32 {
	b := math.Float32bits(v + 0) // -0 is 0
	return b ^ uint32(int32(b)>>31|math.MinInt32)
}

// Tables are those that this machine can run, the best last.
var Tables = append([]*Table{{cpu.Generic, add, walkSteps, keysOf}}, archTables()...)

// Best returns the table of the level in use; nil if stepping from node to node takes less time.
func Best() *Table {
	for i := len(Tables) - 1; i > 0; i-- {
		if cpu.Has(Tables[i].Name) {
			return Tables[i]
		}
	}
	return nil
}

func add(t *Tree, keys []uint32, sums []float32, rows int) {
	for r := range sums[:rows] {
		reach := ^uint64(0)
		for i := range t.Nodes {
			if n := &t.Nodes[i]; keys[int(n.Feature/4)+r] > n.Value {
				reach &^= uint64(n.Drop[1])<<32 | uint64(n.Drop[0])
			}
		}
		sums[r] += t.Values[bits.TrailingZeros64(reach)%MaxLeaves]
	}
}

func walkSteps(steps []Step, root uint32, _ int, keys []uint32, at *[Rows]uint32, rows int) {
	const size = uint32(unsafe.Sizeof(Step{}))
	for r := range at[:rows] {
		for i := root; ; {
			s := &steps[i/size]
			next := s.Next
			if keys[int(s.Feature)/4*Rows+r] > s.Value {
				next += size
			}
			if next == i {
				at[r] = i
				break
			}
			i = next
		}
	}
}

func keysOf(dst []uint32, x []float32) {
	for i, v := range x[:len(dst)] {
		if v != v {
			dst[i] = ^uint32(0)
		} else {
			dst[i] = Key(v)
		}
	}
}
