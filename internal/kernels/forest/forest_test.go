package forest

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"
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

// growSteps returns the steps of a random tree, which may be as deep as it has leaves.
func growSteps(r *rand.Rand, leaves int) (steps []Step, root uint32, depth int) {
	const size = uint32(unsafe.Sizeof(Step{}))
	root = uint32(r.IntN(3)) * size
	steps = make([]Step, root/size+1)
	var split func(at, n, far int)
	split = func(at, n, far int) {
		depth = max(depth, far)
		if n == 1 {
			steps[at] = Step{Value: ^uint32(0), Next: uint32(at) * size}
			return
		}
		next := len(steps)
		steps[at] = Step{Value: r.Uint32(), Feature: uint32(4 * r.IntN(features)), Next: uint32(next) * size}
		steps = append(steps, Step{}, Step{})
		k := 1 + r.IntN(n-1)
		if r.IntN(2) == 0 {
			k = 1
		}
		split(next, k, far+1)
		split(next+1, n-k, far+1)
	}
	split(int(root/size), leaves, 0)
	return steps, root, depth
}

func TestWalk(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	keys := make([]uint32, features*Rows)
	for _, leaves := range []int{1, 2, 3, 17, 100, 1000} {
		for range 20 {
			steps, root, depth := growSteps(r, leaves)
			for i := range keys {
				if keys[i] = r.Uint32(); r.IntN(6) == 0 {
					keys[i] = steps[r.IntN(len(steps))].Value
				}
			}
			var want [Rows]uint32
			Tables[0].Walk(steps, root, depth, keys, &want, Rows)
			for i, at := range want {
				if s := steps[at/12]; s.Next != at {
					t.Fatalf("row %d stops at %d, which leads to %d", i, at, s.Next)
				}
			}
			for _, table := range Tables {
				for _, rows := range []int{0, 1, 7, 8, 9, 63, 64} {
					var at [Rows]uint32
					table.Walk(steps, root, depth, keys, &at, rows)
					if !slices.Equal(at[:rows], want[:rows]) {
						t.Fatalf("%s: %d leaves: %d rows reach %v, want %v", table.Name, leaves, rows, at[:rows], want[:rows])
					}
				}
			}
		}
	}
}

// Keys have the order of their numbers.
func TestKeys(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	order := []float32{-inf, -math.MaxFloat32, -1, -1e-42, 0, 1e-42, 1, math.MaxFloat32, inf, nan}
	for _, table := range Tables {
		keys := make([]uint32, len(order))
		table.Keys(keys, order)
		if !slices.IsSorted(keys) || len(slices.Compact(slices.Clone(keys))) != len(keys) || keys[9] != ^uint32(0) {
			t.Errorf("%s: %v has keys %v", table.Name, order, keys)
		}
		for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 100, 9000} {
			x, got, want := make([]float32, n+1), make([]uint32, n+2), make([]uint32, n+1)
			for i := range x {
				x[i] = []float32{float32(i) - 5, nan, -nan, float32(math.Copysign(0, -1)), -inf, float32(i) * -1e30}[i%6]
			}
			Tables[0].Keys(want, x)
			got[n+1] = 77
			table.Keys(got[1:n+1], x[1:])
			if !slices.Equal(got[1:n+1], want[1:]) || got[n+1] != 77 {
				t.Errorf("%s: the keys of %d numbers are wrong", table.Name, n)
			}
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	for _, table := range Tables {
		b.Run(table.Name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			steps := make([]Step, 511) // 256 leaves, eight steps from the root
			for i := range steps {
				if steps[i] = (Step{r.Uint32(), uint32(4 * r.IntN(features)), uint32(2*i+1) * 12}); i >= 255 {
					steps[i] = Step{Value: ^uint32(0), Next: uint32(i) * 12}
				}
			}
			keys := make([]uint32, 500*features*Rows) // so many that no processor learns them
			for i := range keys {
				keys[i] = r.Uint32()
			}
			var at [Rows]uint32
			for i := 0; b.Loop(); i++ {
				table.Walk(steps, 0, 8, keys[i%500*features*Rows:], &at, Rows)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/Rows, "ns/row")
		})
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
