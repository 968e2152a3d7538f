// Package par owns the goroutines of the module: one worker pool per process,
// on which kernels run their loops.
package par

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// P is what a kernel needs to run a loop in parallel: who may stop it and how
// many threads it may use. The zero P runs on the caller alone.
type P struct {
	Ctx     context.Context // nil: cannot be cancelled
	Threads int             // the caller included; below 2: the caller alone
}

// maxChunks bounds the number of chunks of a loop, so that a small grain does
// not drown the work in claims.
const maxChunks = 512

// For calls f for chunks [lo, hi) that together cover [0, n). Chunks have at
// least grain elements (but the last) and start at multiples of grain; their
// bounds depend on n and grain alone, never on Threads, so that a result built
// per chunk is the same at any number of threads. Calls of f may run at once.
// For may be called from f. Once p.Ctx is done no further chunk starts: the
// caller must treat its result as void when Ctx.Err() is set. A panic in f is
// raised again in the caller after the running chunks have ended.
func (p P) For(n, grain int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	grain = max(grain, 1)
	size := grain
	if c := (n-1)/grain + 1; c > maxChunks {
		size = grain * ((c-1)/maxChunks + 1)
	}
	chunks := (n-1)/size + 1
	var done <-chan struct{}
	if p.Ctx != nil {
		done = p.Ctx.Done()
	}
	if p.Threads < 2 || chunks == 1 {
		for lo := 0; lo < n; lo += size {
			if closed(done) {
				return
			}
			f(lo, min(lo+size, n))
		}
		return
	}
	j := &job{f: f, n: n, size: size, chunks: int32(chunks), cancel: done}
	helpers := min(p.Threads, chunks) - 1
	j.helpers.Store(int32(helpers))
	pool.run(j, helpers)
	if r := j.panicked.Load(); r != nil {
		panic(r.value)
	}
}

func closed(c <-chan struct{}) bool {
	if c == nil {
		return false
	}
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// job is one loop. It is never reused: a worker that comes late holds a job
// whose chunks are all claimed, and leaves it.
type job struct {
	f      func(lo, hi int)
	n      int
	size   int
	chunks int32
	cancel <-chan struct{}

	helpers  atomic.Int32 // workers that may still join
	stopped  atomic.Bool  // by a panic: claimed chunks are not run any more
	panicked atomic.Pointer[raised]
	waiting  atomic.Bool // the caller sleeps on fin
	fin      chan struct{}

	_    [64]byte // next and done are written by all threads, the rest is read
	next atomic.Int32
	_    [60]byte
	done atomic.Int32
}

type raised struct{ value any }

// work claims and runs chunks until none is left.
func (j *job) work() {
	for {
		i := j.next.Add(1) - 1
		if i >= j.chunks {
			j.next.Store(j.chunks) // so that it cannot wrap around
			return
		}
		if !j.stopped.Load() && !closed(j.cancel) {
			j.chunk(int(i))
		}
		if j.done.Add(1) == j.chunks && j.waiting.Load() {
			j.fin <- struct{}{}
		}
	}
}

func (j *job) chunk(i int) {
	defer func() {
		if r := recover(); r != nil {
			j.stopped.Store(true)
			j.panicked.CompareAndSwap(nil, &raised{located(r)})
		}
	}()
	lo := i * j.size
	j.f(lo, min(lo+j.size, j.n))
}

// located adds the stack to an error of the Go runtime, which would otherwise
// be lost on the way to the caller.
func located(r any) any {
	var re runtime.Error
	if err, ok := r.(error); ok && errors.As(err, &re) {
		return fmt.Errorf("%w\n%s", err, debug.Stack())
	}
	return r
}
