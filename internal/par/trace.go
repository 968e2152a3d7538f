package par

import (
	"sync/atomic"
	"time"
)

// Trace has f called after each loop of the process, with the number of claims
// that threads could share and the time it took, until stop is called. Loops
// within loops are part of these. It is for runs on one thread, and for one
// caller at a time.
func Trace(f func(claims int, start time.Time, took time.Duration)) (stop func()) {
	tracer.Store(&loopTracer{f: f})
	return func() { tracer.Store(nil) }
}

var tracer atomic.Pointer[loopTracer]

type loopTracer struct {
	f    func(claims int, start time.Time, took time.Duration)
	busy atomic.Bool
}

func (t *loopTracer) enter() bool { return t.busy.CompareAndSwap(false, true) }

func (t *loopTracer) leave(claims int, start time.Time) {
	t.f(claims, start, time.Since(start))
	t.busy.Store(false)
}
