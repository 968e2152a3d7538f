package par

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxWorkers = 255
	slots      = 64                    // loops that can have helpers at once
	spinTime   = 50 * time.Microsecond // then a thread parks: waking it costs about a quarter of this
)

// workers is the pool. Callers publish jobs in slots; workers look for a job
// with a chunk to claim, spin a while for the next, and park.
type workers struct {
	jobs [slots]atomic.Pointer[job]
	_    [64]byte
	seq  atomic.Uint32 // counts published jobs: what an idle worker watches
	_    [60]byte
	// parked is the number of workers that sleep, or are about to, and have no
	// token in wake yet.
	parked  atomic.Int32
	started atomic.Int32
	quit    atomic.Bool
	wake    chan struct{}

	mu sync.Mutex // starting and stopping
	wg sync.WaitGroup
}

var pool = &workers{wake: make(chan struct{}, maxWorkers)}

// Stop ends the workers; the next loop starts them again. Loops may run
// meanwhile. It is for tests that look for leaked goroutines.
func Stop() {
	p := pool
	p.mu.Lock()
	defer p.mu.Unlock()
	p.quit.Store(true)
	p.seq.Add(1)
	p.wakeUp(maxWorkers)
	p.wg.Wait()
	p.started.Store(0)
	p.quit.Store(false)
}

// start makes sure that there are n workers.
func (p *workers) start(n int) {
	n = min(n, maxWorkers)
	if int(p.started.Load()) >= n || !p.mu.TryLock() {
		return // a caller never waits for helpers
	}
	defer p.mu.Unlock()
	for int(p.started.Load()) < n {
		p.started.Add(1)
		p.wg.Add(1)
		go p.worker()
	}
}

// run runs j on the caller and up to helpers workers, and returns when all its
// chunks have ended. It waits only for chunks that somebody runs.
func (p *workers) run(j *job, helpers int) {
	p.start(helpers)
	slot := -1
	for i := range p.jobs {
		if p.jobs[i].Load() == nil && p.jobs[i].CompareAndSwap(nil, j) {
			slot = i
			break
		}
	}
	if slot >= 0 {
		p.seq.Add(1)
		p.wakeUp(helpers)
	}
	j.work()
	if slot >= 0 {
		p.jobs[slot].Store(nil)
	}
	j.wait()
}

// wait returns when the chunks that workers hold have ended.
func (j *job) wait() {
	ended := func() bool { return j.done.Load() == j.claims }
	if ended() || spin(ended) {
		return
	}
	j.fin = make(chan struct{}, 1)
	j.waiting.Store(true)
	if !ended() {
		<-j.fin
	}
}

// spin polls f for spinTime.
func spin(f func() bool) bool {
	for t0 := time.Now(); ; {
		for range 64 {
			if f() {
				return true
			}
			pause()
		}
		if time.Since(t0) > spinTime {
			return false
		}
	}
}

// wakeUp wakes up to n parked workers.
func (p *workers) wakeUp(n int) {
	for n > 0 && p.takeParked() {
		p.wake <- struct{}{}
		n--
	}
}

// takeParked lowers parked by one, if it is not 0.
func (p *workers) takeParked() bool {
	for {
		k := p.parked.Load()
		if k == 0 {
			return false
		}
		if p.parked.CompareAndSwap(k, k-1) {
			return true
		}
	}
}

func (p *workers) worker() {
	defer p.wg.Done()
	// A fault in memory that is mapped from a file becomes a panic, which the
	// caller of the loop gets.
	debug.SetPanicOnFault(true)
	for {
		last := p.seq.Load()
		if p.quit.Load() {
			return
		}
		if p.help() {
			continue
		}
		if spin(func() bool { return p.seq.Load() != last }) {
			continue
		}
		p.parked.Add(1)
		// A job published before parked was raised has not woken this worker.
		if p.seq.Load() != last && p.takeParked() {
			continue
		}
		<-p.wake
	}
}

// help works on the jobs that want help and reports whether it found one.
func (p *workers) help() (found bool) {
	for i := range p.jobs {
		j := p.jobs[i].Load()
		if j == nil || j.next.Load() >= j.claims {
			continue
		}
		if j.helpers.Add(-1) < 0 {
			continue
		}
		j.work()
		found = true
	}
	return found
}
