package forest

import (
	"math/rand/v2"
	"slices"
	"testing"
)

const features = 7

// grow returns a random tree and a function that walks it from node to node.
func grow(r *rand.Rand, leaves int) (*Tree, func(key func(f int) uint32) float32) {
	t := &Tree{Leaves: leaves, Keys: features * Rows}
	for i := range leaves {
		t.Values[i] = float32(r.NormFloat64())
	}
	var split func(from, to int) func(key func(f int) uint32) float32
	split = func(from, to int) func(key func(f int) uint32) float32 {
		if to-from == 1 {
			return func(func(f int) uint32) float32 { return t.Values[from] }
		}
		mid := from + 1 + r.IntN(to-from-1)
		f, value := r.IntN(features), r.Uint32()
		if r.IntN(8) == 0 {
			value = []uint32{0, ^uint32(0), 1 << 31}[r.IntN(3)]
		}
		drop := uint64(0)
		for i := from; i < mid; i++ {
			drop |= 1 << i
		}
		t.Nodes = append(t.Nodes, Node{Value: value, Feature: uint32(4 * Rows * f), Drop: [2]uint32{uint32(drop), uint32(drop >> 32)}})
		first, second := split(from, mid), split(mid, to)
		return func(key func(f int) uint32) float32 {
			if key(f) <= value {
				return first(key)
			}
			return second(key)
		}
	}
	walk := split(0, leaves)
	r.Shuffle(len(t.Nodes), func(i, j int) { t.Nodes[i], t.Nodes[j] = t.Nodes[j], t.Nodes[i] })
	return t, walk
}

// All tables give what walking gives.
func TestAdd(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	keys := make([]uint32, features*Rows)
	for _, leaves := range []int{1, 2, 3, 16, 31, 32, 33, 50, 63, 64} {
		for range 20 {
			tree, walk := grow(r, leaves)
			for i := range keys {
				if keys[i] = r.Uint32(); r.IntN(6) == 0 && len(tree.Nodes) > 0 { // the same as a bound
					keys[i] = tree.Nodes[r.IntN(len(tree.Nodes))].Value
				}
			}
			for _, table := range Tables {
				for _, rows := range []int{1, 15, 16, 17, 48, 63, 64} {
					sums := make([]float32, Rows)
					for i := range sums {
						sums[i] = float32(i)
					}
					table.Add(tree, keys, sums, rows)
					for i := range rows {
						if want := float32(i) + walk(func(f int) uint32 { return keys[f*Rows+i] }); sums[i] != want {
							t.Fatalf("%s: %d leaves, %d rows: row %d is %g, want %g", table.Name, leaves, rows, i, sums[i], want)
						}
					}
				}
			}
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, table := range Tables {
		for _, leaves := range []int{31, 64} {
			b.Run(table.Name+"/leaves="+map[int]string{31: "31", 64: "64"}[leaves], func(b *testing.B) {
				r := rand.New(rand.NewPCG(1, 2))
				var list []*Tree
				for range 100 {
					t, _ := grow(r, leaves)
					list = append(list, t)
				}
				keys, sums := make([]uint32, features*Rows), make([]float32, Rows)
				for i := range keys {
					keys[i] = r.Uint32()
				}
				slices.Sort(keys[:Rows])
				for b.Loop() {
					for _, t := range list {
						table.Add(t, keys, sums, Rows)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100/Rows, "ns/row")
			})
		}
	}
}
