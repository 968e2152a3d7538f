package optimize

import (
	"math/rand/v2"
	"testing"
)

// TestCutGraph compares with trying every assignment.
func TestCutGraph(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		n := 2 + r.IntN(7)
		type edge struct{ a, b, c int }
		var edges []edge
		g := newCutGraph()
		for range n {
			g.vertex()
		}
		for range r.IntN(25) {
			e := edge{r.IntN(n + 2), r.IntN(n + 2), r.IntN(9)}
			edges = append(edges, e)
			g.edge(e.a, e.b, e.c)
		}
		cost := func(one func(v int) bool) int {
			c := 0
			for _, e := range edges {
				if e.a != e.b && one(e.a) && !one(e.b) {
					c += e.c
				}
			}
			return c
		}
		best := 1 << 30
		for m := range 1 << n {
			best = min(best, cost(func(v int) bool { return v == cutOne || v >= 2 && m>>(v-2)&1 == 1 }))
		}
		got, one := g.solve()
		if got != best {
			t.Fatalf("cost %d, want %d", got, best)
		}
		if c := cost(func(v int) bool { return one[v] }); c != best {
			t.Fatalf("the sides cost %d, want %d", c, best)
		}
	}
}
