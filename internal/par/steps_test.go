package par

import (
	"context"
	"sync/atomic"
	"testing"
)

// TestSteps has every part of a step read what all parts of the step before wrote.
func TestSteps(t *testing.T) {
	defer Stop()
	for _, c := range []struct{ threads, steps, parts int }{
		{1, 5, 3}, {2, 1, 4}, {2, 300, 2}, {3, 200, 7}, {8, 100, 5}, {4, 50, 1}, {2, 0, 3}, {2, 3, 0},
	} {
		sums := [2][8]int64{}
		want, before := int64(0), int64(0)
		for s := range c.steps {
			before = want
			want = 0
			for i := range c.parts {
				want += before%1000 + int64(s*i) + 1
			}
		}
		P{Threads: c.threads}.Steps(c.steps, c.parts, func(s, i int) {
			var old int64
			if s > 0 {
				for _, v := range sums[(s-1)%2][:c.parts] {
					old += v
				}
			}
			sums[s%2][i] = old%1000 + int64(s*i) + 1
		})
		got := int64(0)
		if c.steps > 0 {
			for _, v := range sums[(c.steps-1)%2][:c.parts] {
				got += v
			}
		}
		if got != want {
			t.Errorf("%+v: %d, want %d", c, got, want)
		}
	}
}

func TestStepsCancelled(t *testing.T) {
	defer Stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var last atomic.Int64
	P{Ctx: ctx, Threads: 3}.Steps(1000, 3, func(s, _ int) {
		if s == 10 {
			cancel()
		}
		last.Store(max(last.Load(), int64(s)))
	})
	if n := last.Load(); n > 11 {
		t.Errorf("step %d began after step 10 cancelled", n)
	}
}

func TestStepsPanic(t *testing.T) {
	defer Stop()
	for _, part := range []int{0, 1, 2} {
		func() {
			defer func() {
				if r := recover(); r != "part" {
					t.Errorf("recovered %v", r)
				}
			}()
			P{Threads: 3}.Steps(100, 3, func(s, i int) {
				if s == 50 && i == part {
					panic("part")
				}
			})
		}()
	}
}

func BenchmarkSteps(b *testing.B) {
	for b.Loop() {
		P{Threads: 2}.Steps(1000, 2, func(int, int) {})
	}
}
