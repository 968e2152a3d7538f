package par

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain also shows how a test gets rid of the workers.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func cover(t *testing.T, p P, n, grain int) {
	t.Helper()
	seen := make([]atomic.Int32, n)
	var starts sync.Map
	p.For(n, grain, func(lo, hi int) {
		if grain > 0 && (lo%grain != 0 || hi != min(lo+grain, n)) {
			t.Errorf("n %d, grain %d: chunk [%d, %d)", n, grain, lo, hi)
		}
		starts.Store(lo, hi)
		for i := lo; i < hi; i++ {
			seen[i].Add(1)
		}
	})
	for i := range seen {
		if seen[i].Load() != 1 {
			t.Fatalf("n %d, grain %d: element %d was visited %d times", n, grain, i, seen[i].Load())
		}
	}
	P{}.For(n, grain, func(lo, hi int) {
		if h, ok := starts.Load(lo); !ok || h != hi {
			t.Errorf("n %d, grain %d: chunk [%d, %d) only on one thread", n, grain, lo, hi)
		}
	})
}

func TestFor(t *testing.T) {
	defer Stop()
	for _, threads := range []int{0, 1, 2, 3, 8} {
		for _, n := range []int{0, 1, 2, 7, 64, 1000, 5003} {
			for _, grain := range []int{0, 1, 3, 64, 10000} {
				cover(t, P{Threads: threads}, n, grain)
			}
		}
	}
}

func TestManyCallersNested(t *testing.T) {
	defer Stop()
	var wg sync.WaitGroup
	var sum atomic.Int64
	for range 8 {
		wg.Go(func() {
			p := P{Threads: 4}
			for i := range 60 {
				p.For(9, 1, func(lo, hi int) {
					p.For(10, 3, func(lo, hi int) { sum.Add(int64(hi - lo)) })
				})
				if i%20 == 0 {
					time.Sleep(100 * time.Microsecond) // some workers park
				}
			}
		})
	}
	wg.Wait()
	if got := sum.Load(); got != 8*60*9*10 {
		t.Errorf("sum %d", got)
	}
}

func TestPanic(t *testing.T) {
	defer Stop()
	boom := errors.New("boom")
	for _, threads := range []int{1, 4} {
		func() {
			defer func() {
				if r := recover(); r != boom {
					t.Errorf("recovered %v", r)
				}
			}()
			P{Threads: threads}.For(100, 1, func(lo, hi int) {
				if lo == 57 {
					panic(boom)
				}
			})
			t.Error("no panic")
		}()
	}
	func() {
		defer func() {
			err, ok := recover().(error)
			if !ok || !strings.Contains(err.Error(), "index out of range") {
				t.Errorf("recovered %v", err)
			}
		}()
		var none []int
		P{Threads: 4}.For(100, 1, func(lo, hi int) { none[lo]++ })
	}()
	cover(t, P{Threads: 4}, 100, 1) // the pool is as good as new
}

func TestCancel(t *testing.T) {
	defer Stop()
	ctx, cancel := context.WithCancel(context.Background())
	var n atomic.Int32
	P{Ctx: ctx, Threads: 3}.For(400, 1, func(lo, hi int) {
		switch k := n.Add(1); {
		case k == 5:
			cancel()
		case k > 5: // it may take a while until the fifth gets on
			<-ctx.Done()
		}
	})
	if n.Load() > 9 {
		t.Errorf("%d chunks ran after the cancellation", n.Load())
	}
	P{Ctx: ctx, Threads: 1}.For(4, 1, func(lo, hi int) { t.Error("ran") })
}

// A caller must not depend on workers: here they are all busy.
func TestCallerWorks(t *testing.T) {
	defer Stop()
	release, running := make(chan struct{}), make(chan struct{}, 8)
	var wg sync.WaitGroup
	wg.Go(func() {
		P{Threads: 4}.For(4, 1, func(lo, hi int) { running <- struct{}{}; <-release })
	})
	for range 4 {
		<-running
	}
	cover(t, P{Threads: 4}, 100, 1)
	close(release)
	wg.Wait()
}

func TestThreadsCapHelpers(t *testing.T) {
	defer Stop()
	P{Threads: 8}.For(64, 1, func(lo, hi int) { time.Sleep(10 * time.Microsecond) })
	var now, most atomic.Int32
	P{Threads: 2}.For(64, 1, func(lo, hi int) {
		k := now.Add(1)
		for m := most.Load(); k > m && !most.CompareAndSwap(m, k); m = most.Load() {
		}
		time.Sleep(20 * time.Microsecond)
		now.Add(-1)
	})
	if most.Load() > 2 {
		t.Errorf("%d threads at once, want 2", most.Load())
	}
}

func TestStopDuringLoops(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				cover(t, P{Threads: 3}, 50, 1)
			}
		})
	}
	for range 20 {
		Stop()
	}
	wg.Wait()
	Stop()
}

type addArgs struct {
	y, x []float32
}

type sums[T float32 | float64] struct{ y, x []T }

func (s *sums[T]) Chunk(lo, hi int) {
	for i := lo; i < hi; i++ {
		s.y[i] += s.x[i]
	}
}

func sumInto[T float32 | float64](p P, y, x []T) { Run(p, len(x), 100, With(sums[T]{y, x})) }

func TestEach(t *testing.T) {
	defer Stop()
	y, x := make([]float32, 10000), make([]float32, 10000)
	for i := range x {
		x[i] = float32(i)
	}
	for _, threads := range []int{1, 2, 5} {
		Each(P{Threads: threads}, len(x), 100, addArgs{y, x}, func(a *addArgs, lo, hi int) {
			for i := lo; i < hi; i++ {
				a.y[i] += a.x[i]
			}
		})
	}
	sumInto(P{Threads: 3}, y, x)
	for i := range y {
		if y[i] != 4*x[i] {
			t.Fatalf("y[%d] = %g, want %g", i, y[i], 4*x[i])
		}
	}
	sumInto(P{Threads: 3}, y[:0], x[:0])
	Each(P{}, 0, 1, 1, func(*int, int, int) { t.Error("ran") })
	func() {
		defer func() {
			if recover() != "boom" {
				t.Error("no panic")
			}
		}()
		Each(P{Threads: 2}, 10, 1, 1, func(*int, int, int) { panic("boom") })
	}()
}

func TestGrain(t *testing.T) {
	for _, c := range []struct {
		n     int
		nanos float64
		want  int
	}{{0, 1, 1}, {1, 1e9, 1}, {1000, 1, 1000}, {100000, 1, 4000}, {10, 1e6, 1}, {1 << 20, 10, 4096}, {7, 0, 7}} {
		if got := Grain(c.n, c.nanos); got != c.want {
			t.Errorf("Grain(%d, %g) = %d, want %d", c.n, c.nanos, got, c.want)
		}
	}
}

// BenchmarkForkJoin times a loop of two empty chunks: what a parallel loop
// costs while the workers are awake.
func BenchmarkForkJoin(b *testing.B) {
	defer Stop()
	for _, threads := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(threads), func(b *testing.B) {
			p := P{Threads: threads}
			f := func(lo, hi int) {}
			b.ReportAllocs()
			for b.Loop() {
				p.For(2*threads, 1, f)
			}
		})
	}
}

// BenchmarkFork20us times a loop of 20 µs of work for each of two threads.
func BenchmarkFork20us(b *testing.B) {
	defer Stop()
	work := func(lo, hi int) {
		for t := time.Now(); time.Since(t) < 20*time.Microsecond; {
		}
	}
	for _, gap := range []time.Duration{0, 20 * time.Microsecond, 200 * time.Microsecond} {
		b.Run(gap.String(), func(b *testing.B) {
			p := P{Threads: 2}
			var total time.Duration
			for range b.N {
				for t := time.Now(); time.Since(t) < gap; {
				}
				t := time.Now()
				p.For(2, 1, work)
				total += time.Since(t)
			}
			b.ReportMetric(float64(total.Nanoseconds())/float64(b.N), "ns/loop")
		})
	}
}

// TestShares: a thread begins with its own share, the same of loops of any length, and does what others leave.
func TestShares(t *testing.T) {
	for _, c := range []struct {
		claims, threads, thread int
		want                    []int
	}{
		{5, 2, 0, []int{0, 1, 2, 3, 4}},
		{5, 2, 1, []int{2, 3, 4, 0, 1}},
		{3, 3, 2, []int{2, 0, 1}},
		{16, 16, 5, []int{4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3}},
	} {
		var got []int
		j := job{claims: int32(c.claims), threads: c.threads, shares: min(c.threads, maxShares), n: c.claims, grain: 1, per: 1}
		j.f = func(lo, hi int) {
			for ; lo < hi; lo++ {
				got = append(got, lo)
			}
		}
		for i := range j.shares {
			j.next[i].Store(j.share(i))
		}
		if !j.left() {
			t.Errorf("%d claims: nothing left at the beginning", c.claims)
		}
		j.work(c.thread)
		if !slices.Equal(got, c.want) {
			t.Errorf("%d claims, thread %d of %d: got %v, want %v", c.claims, c.thread, c.threads, got, c.want)
		}
		if j.left() {
			t.Errorf("%d claims: something left at the end", c.claims)
		}
	}
}
