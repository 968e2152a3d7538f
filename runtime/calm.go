package runtime

import (
	goruntime "runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
)

const (
	calmHeap   = 64 << 20  // heaps that may grow to this are collected seldom enough
	calmBytes  = 32 << 20  // what calm reserves
	calmMemory = 512 << 20 // below this memory limit nothing is reserved
)

// calm keeps the garbage collector from running over and over while a session
// is opened in a process whose heap is still small: it collects whenever the heap
// has doubled, which from 4 MB on is every few milliseconds, and takes up to half of
// the time that opening a small model does. So a reserve that nobody touches, and
// that is no memory of the machine, counts as part of the heap until done is called.
// A process that has bounded its memory closely, or has turned the collector
// off, is left alone.
func calm() (done func()) {
	goal := [...]metrics.Sample{{Name: "/gc/heap/goal:bytes"}}
	metrics.Read(goal[:])
	if goal[0].Value.Kind() != metrics.KindUint64 || goal[0].Value.Uint64() >= calmHeap || debug.SetMemoryLimit(-1) < calmMemory {
		return func() {}
	}
	reserve := new(strings.Builder)
	reserve.Grow(calmBytes) // unlike make, it does not clear memory that was in use before
	return func() { goruntime.KeepAlive(reserve) }
}
