package par

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Steps calls f for the parts [0, parts) of step 0, then of step 1, and so on up
// to steps: parts of one step may run at once, and a step begins when all parts
// of the one before have ended. It is for loops in which every step needs all of
// the one before and takes a few microseconds: the threads stay together from
// the first step to the last and keep their parts, so that what a part reads
// stays in the cache of one core.
//
// As in For, no thread waits for a part that nobody has begun: a thread that
// finds its part done, or other parts not begun, takes what is there. f must
// not panic on one thread alone: what it works on is shared. Once p.Ctx is done
// no further step starts.
func (p P) Steps(steps, parts int, f func(step, part int)) {
	if steps <= 0 || parts <= 0 {
		return
	}
	var done <-chan struct{}
	if p.Ctx != nil {
		done = p.Ctx.Done()
	}
	threads := min(p.Threads, parts, maxParts)
	if threads < 2 || steps == 1 {
		for s := 0; s < steps && !closed(done); s++ {
			p.For(parts, 1, func(lo, hi int) {
				for i := lo; i < hi; i++ {
					f(s, i)
				}
			})
		}
		return
	}
	t, _ := teams.Get().(*team)
	if t == nil {
		t = &team{}
		t.join = func(lo, hi int) {
			for ; lo < hi; lo++ {
				t.work(lo)
			}
		}
	}
	t.f, t.steps, t.parts, t.cancel = f, steps, parts, done
	t.threads = threads
	t.ended.Store(0)
	t.stop.Store(false)
	for i := range t.begun[:threads] {
		t.begun[i].Store(0)
	}
	p.For(threads, 1, t.join)
	t.f, t.cancel = nil, nil
	teams.Put(t) // after a panic it is left to the collector
}

// maxParts is the most threads of a team.
const maxParts = 64

// team is the state of one Steps in progress. The parts are dealt to as many
// hands as there are threads; a hand is what is claimed.
type team struct {
	f            func(step, part int)
	join         func(lo, hi int)
	steps, parts int
	threads      int
	cancel       <-chan struct{}
	stop         atomic.Bool
	_            [64]byte
	ended        atomic.Int64 // hands that have ended, of all steps
	_            [56]byte
	begun        [maxParts]paddedInt // by hand: steps begun
}

type paddedInt struct {
	atomic.Int64
	_ [56]byte
}

var teams sync.Pool

// work takes part as thread own until the last step has ended.
func (t *team) work(own int) {
	finished := false
	defer func() {
		if !finished {
			t.stop.Store(true) // a panic: the others must not wait
		}
	}()
	n := int64(t.threads)
	for s := t.ended.Load() / n; s < int64(t.steps); s++ {
		if closed(t.cancel) {
			t.stop.Store(true)
		}
		if t.stop.Load() {
			break
		}
		for k := range t.threads {
			hand := own + k
			if hand >= t.threads {
				hand -= t.threads
			}
			if t.begun[hand].Load() != s || !t.begun[hand].CompareAndSwap(s, s+1) {
				continue
			}
			for i := hand * t.parts / t.threads; i < (hand+1)*t.parts/t.threads; i++ {
				t.f(int(s), i)
			}
			t.ended.Add(1)
		}
		for k := 1; t.ended.Load() < (s+1)*n && !t.stop.Load(); k++ {
			pause()
			if k%256 == 0 { // some ten microseconds: what is waited for may need this thread
				runtime.Gosched()
			}
		}
	}
	finished = true
}
