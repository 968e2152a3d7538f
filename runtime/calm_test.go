package runtime

import (
	goruntime "runtime"
	"runtime/debug"
	"testing"
)

// TestCalm: with the reserve, a small heap is collected less often; where memory
// is bounded or the collector is off there is none.
func TestCalm(t *testing.T) {
	collections := func() uint32 {
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		for range 6144 { // 24 MB of garbage
			keep = make([]byte, 4096)
		}
		goruntime.ReadMemStats(&after)
		return after.NumGC - before.NumGC
	}
	goruntime.GC()
	without := collections()
	done := calm()
	goruntime.GC() // the heap's goal counts the reserve from the next collection on
	with := collections()
	done()
	if without == 0 || 2*with > without { // one may be the runtime's own, which comes by the clock
		t.Errorf("%d collections without the reserve and %d with it, want some and less than half of them", without, with)
	}

	allocated := func() uint64 {
		goruntime.GC() // lets go of the reserve from above
		var before, after goruntime.MemStats
		goruntime.ReadMemStats(&before)
		calm()()
		goruntime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if n := allocated(); n < calmBytes {
		t.Errorf("%d bytes reserved for a small heap, want %d", n, calmBytes)
	}
	func() {
		defer debug.SetMemoryLimit(debug.SetMemoryLimit(calmMemory - 1))
		if n := allocated(); n >= calmBytes {
			t.Errorf("%d bytes reserved under a limit of %d", n, calmMemory-1)
		}
	}()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	if n := allocated(); n >= calmBytes {
		t.Errorf("%d bytes reserved with the collector off", n)
	}
}

var keep []byte
