package par

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var tiny, half = float32(1e-39), float32(0.5)

// flushed reports whether a subnormal number counts as zero on this thread.
func flushed() bool { return tiny*half == 0 }

func TestFlushSubnormals(t *testing.T) {
	if flushed() {
		t.Fatal("subnormal numbers count as zero from the start")
	}
	outer := FlushSubnormals()
	if flushed() != flushes {
		t.Errorf("they count as zero: %v, want %v", flushed(), flushes)
	}
	FlushSubnormals().Restore()
	if flushed() != flushes {
		t.Error("the inner Restore undid the outer call")
	}
	outer.Restore()
	if flushed() {
		t.Error("they count as zero after Restore")
	}
}

// Threads that help flush as their caller does, and no longer, even after a panic.
func TestHelpersFlush(t *testing.T) {
	defer Stop()
	loop := func(flush, fail bool) (zero, all int32) {
		var z atomic.Int32
		defer func() {
			if r := recover(); (r != nil) != fail {
				t.Errorf("panic: %v", r)
			}
		}()
		P{Threads: 3, Flush: flush}.For(64, 1, func(lo, hi int) {
			time.Sleep(20 * time.Microsecond) // so that each thread gets some
			if flushed() {
				z.Add(1)
			}
			if fail && lo == 40 {
				panic("chunk 40")
			}
		})
		return z.Load(), 64
	}
	for range 20 {
		m := FlushSubnormals()
		zero, all := loop(true, false)
		loop(true, true)
		m.Restore()
		if flushes && zero != all || !flushes && zero != 0 {
			t.Fatalf("%d of %d chunks flushed", zero, all)
		}
		if zero, _ := loop(false, false); zero != 0 || flushed() {
			t.Fatalf("%d chunks of a loop that does not flush did", zero)
		}
	}
}

// However many goroutines flush at once, the process has a bounded number of threads for them.
func TestFlushIsBounded(t *testing.T) {
	if !flushes {
		return
	}
	var modes []FlushMode
	for range mostFlushing {
		modes = append(modes, FlushSubnormals())
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		m := FlushSubnormals()
		if m != 0 || flushed() {
			t.Error("one more goroutine flushes")
		}
		m.Restore()
	})
	wg.Wait()
	for _, m := range slices.Backward(modes) {
		m.Restore()
	}
	if flushed() || flushing.Load() != 0 {
		t.Errorf("%d are left", flushing.Load())
	}
}
