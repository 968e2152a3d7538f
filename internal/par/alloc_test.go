//go:build !race

// The race detector empties pools, so nothing here holds with it.

package par

import (
	"sync/atomic"
	"testing"
)

func TestLoopsDoNotAllocate(t *testing.T) {
	defer Stop()
	y, x := make([]float32, 10000), make([]float32, 10000)
	for _, threads := range []int{1, 2} {
		if n := testing.AllocsPerRun(200, func() { sumInto(P{Threads: threads}, y, x) }); n > 0.1 {
			t.Errorf("Run on %d threads: %g allocations", threads, n)
		}
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

func TestStepsAllocates(t *testing.T) {
	defer Stop()
	var n atomic.Int64
	f := func(int, int) { n.Add(1) }
	if got := testing.AllocsPerRun(100, func() { P{Threads: 2}.Steps(20, 2, f) }); got > 0 {
		t.Errorf("%g allocations", got)
	}
}
