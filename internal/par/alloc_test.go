//go:build !race

// The race detector empties pools, so nothing here holds with it.

package par

import "testing"

func TestLoopsDoNotAllocate(t *testing.T) {
	defer Stop()
	y, x := make([]float32, 10000), make([]float32, 10000)
	for _, threads := range []int{1, 2} {
		n := testing.AllocsPerRun(200, func() {
			Each(P{Threads: threads}, len(x), 100, addArgs{y, x}, func(a *addArgs, lo, hi int) {
				for i := lo; i < hi; i++ {
					a.y[i] += a.x[i]
				}
			})
		})
		if n > 0.1 {
			t.Errorf("%d threads: %g allocations", threads, n)
		}
	}
}
