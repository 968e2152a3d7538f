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
	"time"
)

// P is what a kernel needs to run a loop in parallel: who may stop it and how
// many threads it may use. The zero P runs on the caller alone.
type P struct {
	Ctx     context.Context // nil: cannot be cancelled
	Threads int             // the caller included; below 2: the caller alone
	Flush   bool            // the caller has called FlushSubnormals, which is for all threads that help it
}

// maxClaims bounds the number of claims of a loop: of a long loop with a small
// grain, a thread takes several chunks at once.
const maxClaims = 512

// For calls f for the chunks [i*grain, min((i+1)*grain, n)) that cover [0, n):
// their bounds depend on n and grain alone, never on Threads, so that a result
// built per chunk is the same at any number of threads. Calls of f may run at
// once.
// For may be called from f. Once p.Ctx is done no further chunk starts: the
// caller must treat its result as void when Ctx.Err() is set. A panic in f is
// raised again in the caller after the running chunks have ended.
func (p P) For(n, grain int, f func(lo, hi int)) {
	if n <= 0 {
		return
	}
	grain = max(grain, 1)
	chunks := (n-1)/grain + 1
	per := (chunks-1)/maxClaims + 1
	claims := (chunks-1)/per + 1
	if t := tracer.Load(); t != nil && t.enter() {
		defer t.leave(claims, time.Now())
	}
	var done <-chan struct{}
	if p.Ctx != nil {
		done = p.Ctx.Done()
	}
	if p.Threads < 2 || claims == 1 {
		for lo := 0; lo < n; lo += grain {
			if closed(done) {
				return
			}
			f(lo, min(lo+grain, n))
		}
		return
	}
	j := pool.acquire()
	if j == nil { // as many loops as can have helpers run already
		for lo := 0; lo < n && !closed(done); lo += grain {
			f(lo, min(lo+grain, n))
		}
		return
	}
	j.f, j.n, j.grain, j.per, j.claims, j.cancel, j.flush = f, n, grain, per, int32(claims), done, p.Flush
	j.threads = min(p.Threads, claims, maxWorkers+1)
	j.shares = min(j.threads, maxShares)
	if r := pool.run(j); r != nil {
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

// job is one loop. Jobs are used again and again: a worker counts itself in
// before it looks whether the job is still open, and a caller takes no job that
// a worker is in.
type job struct {
	// Set by the caller before the job is opened.
	f       func(lo, hi int)
	n       int
	grain   int
	per     int // chunks of a claim
	claims  int32
	threads int // that may work on it
	shares  int // into which the claims are dealt
	cancel  <-chan struct{}
	flush   bool

	busy     atomic.Bool  // a caller has it
	stopped  atomic.Bool  // by a panic: claimed chunks are not run any more
	waiting  atomic.Bool  // the caller sleeps on fin
	helpers  atomic.Int32 // workers that may still join
	panicked atomic.Pointer[raised]
	fin      chan struct{}

	_      [64]byte // what follows is written by all threads
	inside atomic.Int32
	_      [60]byte
	done   atomic.Int32
	_      [60]byte
	next   [maxShares]paddedCount // by share: the next claim
}

// maxShares is the most shares of a loop: at its end, a thread looks at all of them.
const maxShares = 8

type paddedCount struct {
	atomic.Int32
	_ [60]byte
}

type raised struct{ value any }

// help is work on a thread of the pool.
func (j *job) help(thread int) {
	if j.flush {
		defer FlushSubnormals().Restore()
	}
	j.work(thread)
}

// share returns the first claim of a share.
func (j *job) share(i int) int32 { return int32(i * int(j.claims) / j.shares) }

// left reports whether there is something to claim.
func (j *job) left() bool {
	for i := range j.shares {
		if j.next[i].Load() < j.share(i+1) {
			return true
		}
	}
	return false
}

// work claims and runs chunks until all are claimed. A thread, one of threads, begins with its own share,
// which lies about where its share of the loop before lay: what it reads is in its core's cache.
func (j *job) work(thread int) {
	own := thread * j.shares / j.threads
	for k := range j.shares {
		s := (own + k) % j.shares
		next, end := &j.next[s], j.share(s+1)
		for next.Load() < end {
			i := next.Add(1) - 1
			if i >= end {
				break
			}
			j.claim(int(i))
			if j.done.Add(1) == j.claims && j.waiting.Load() && j.waiting.CompareAndSwap(true, false) {
				j.fin <- struct{}{}
			}
		}
	}
}

func (j *job) claim(i int) {
	defer func() {
		if r := recover(); r != nil {
			j.stopped.Store(true)
			j.panicked.CompareAndSwap(nil, &raised{located(r)})
		}
	}()
	end := min((i+1)*j.per*j.grain, j.n)
	for lo := i * j.per * j.grain; lo < end && !j.stopped.Load() && !closed(j.cancel); lo += j.grain {
		j.f(lo, min(lo+j.grain, end))
	}
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
