package ops

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/internal/kernels/forest"
	"github.com/gneiss-run/gneiss/internal/par"
)

// randomTrees returns an ensemble with comparisons of every kind that the fast
// form knows, and thresholds that rows often meet exactly. single is for trees of which each leaf
// has one weight, of the same target, mixed for such ones of which some are too large for masks.
func randomTrees(r *rand.Rand, how, targets int, single, mixed bool) *trees {
	e := &trees{targets: targets, how: how, features: 5}
	value := func() float64 {
		v := []float64{math.Inf(-1), math.Inf(1), 0, math.Copysign(0, -1), 0.1, float64(float32(0.1)), math.MaxFloat32, 1e300, -1e300, float64(r.IntN(7) - 3)}
		return v[r.IntN(len(v))]
	}
	var grow func(depth int) int32
	grow = func(depth int) int32 {
		at := int32(len(e.nodes))
		e.nodes = append(e.nodes, treeNode{})
		if depth == 0 || r.IntN(5) == 0 {
			lo := int32(len(e.weights))
			if single {
				e.weights = append(e.weights, treeWeight{r.NormFloat64(), int32(len(e.roots) % targets)})
			}
			for range r.IntN(3) {
				if single {
					break
				}
				e.weights = append(e.weights, treeWeight{r.NormFloat64(), int32(r.IntN(targets))})
			}
			e.nodes[at] = treeNode{mode: treeLeaf, yes: lo, no: int32(len(e.weights))}
			return at
		}
		n := treeNode{mode: uint8(r.IntN(6)), value: value(), feature: int32(r.IntN(5)), nanIsYes: r.IntN(2) == 0}
		n.nanIsYes = n.nanIsYes && n.mode != treeEQ
		n.yes = grow(depth - 1)
		n.no = grow(depth - 1)
		if below := e.nodes[n.no]; below.mode != treeLeaf && r.IntN(9) == 0 {
			n.yes = below.yes // which has two parents then
		}
		e.nodes[at] = n
		return at
	}
	for range 1 + r.IntN(30) {
		depth := 6
		if single { // with the copies that comparisons for equality make there may be too many leaves
			if depth = 2 + r.IntN(3); mixed && r.IntN(4) == 0 {
				depth = 9
			}
		}
		e.roots = append(e.roots, grow(depth))
	}
	return e
}

// TestTreesFast: the fast form of an ensemble gives what walking its nodes one
// by one gives, for every number of rows.
func TestTreesFast(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	all, some := 0, 0
	for round := range 60 {
		e := randomTrees(r, round%4, 1+round%3, round/4%2 == 1, round/8%2 == 1)
		e.compile()
		if e.fast32 == nil || e.fast64 == nil {
			t.Fatal("no fast form")
		}
		if m := e.fast32.masks; m != nil {
			if some++; m.all {
				all++
			}
		}
		for _, n := range []int{0, 1, 3, 4, 5, 8, 63, 66, 131} {
			x32, x64 := make([]float32, n*6), make([]float64, n*6)
			for i := range x32 {
				v := []float32{float32(r.IntN(7) - 3), 0.1, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.Copysign(0, -1)), math.MaxFloat32}[r.IntN(6)]
				if r.IntN(10) == 0 {
					v = float32(math.NaN())
				}
				x32[i], x64[i] = v, float64(v)
			}
			for _, x := range []treeInput{{x32: x32, n: n, f: 6}, {x64: x64, n: n, f: 6}} {
				for _, threads := range []int{1, 3} {
					c := &Call{P: par.P{Threads: threads}, Mem: heap{}}
					double := x.x64 != nil
					seen := make([]bool, n)
					err := e.each(c, x, double, func(score []float64, has []bool, _ []float32, i int) {
						want, there := make([]float64, e.targets), make([]bool, e.targets)
						e.eval(x64[i*6:(i+1)*6], want, there, double)
						if !slices.Equal(score, want) || !slices.Equal(has, there) {
							t.Errorf("round %d, %d rows: row %d has %v %v, want %v %v", round, n, i, score, has, want, there)
						}
						seen[i] = true
					})
					if err != nil || slices.Contains(seen, false) {
						t.Fatalf("round %d, %d rows: %v, rows seen %v", round, n, err, seen)
					}
				}
			}
		}
	}
	if forest.Best() != nil && (all < 5 || some-all < 5) {
		t.Errorf("%d of 60 have masks, %d for all trees", some, all)
	}
}

func TestNodeNumbers(t *testing.T) {
	for _, c := range []struct {
		trees, ids []int
		plain      bool
	}{
		{[]int{0, 0, 5, 5, 5}, []int{0, 1, 0, 1, 2}, true},
		{[]int{0, 0, 5, 5, 0}, []int{0, 1, 0, 1, 2}, false},
		{[]int{1, 1}, []int{4, -7}, false},
	} {
		m, err := numberNodes(c.trees, c.ids)
		if err != nil || (m.trees != nil) != c.plain {
			t.Fatalf("%v: %v, %v", c, m, err)
		}
		for i := range c.ids {
			if got := m.find(c.trees[i], c.ids[i]); got != int32(i) {
				t.Errorf("%v: node %d is found at %d", c, i, got)
			}
		}
		for _, k := range [][2]int{{0, 3}, {9, 0}, {5, -1}, {1, 0}} {
			if m.find(k[0], k[1]) >= 0 {
				t.Errorf("%v: %v is found", c, k)
			}
		}
	}
	if _, err := numberNodes([]int{0, 0, 0}, []int{0, 1, 1}); err == nil {
		t.Error("no error for a node that is there twice")
	}
}
