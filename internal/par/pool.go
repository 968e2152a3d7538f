package par

import (
	"math/bits"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

const (
	maxWorkers = 255
	slots      = 64                    // loops that can have helpers at once
	spinTime   = 50 * time.Microsecond // then a thread parks: waking it costs about a quarter of this
)

// workers is the pool. Callers open jobs; workers look for a job with a chunk
// to claim, spin a while for the next, and park.
type workers struct {
	jobs [slots]job
	_    [64]byte
	open atomic.Uint64 // a bit for each job that takes helpers
	_    [56]byte
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

var pool = newPool()

func newPool() *workers {
	p := &workers{wake: make(chan struct{}, maxWorkers)}
	for i := range p.jobs {
		p.jobs[i].fin = make(chan struct{}, 1)
	}
	return p
}

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
		p.wg.Add(1)
		go p.worker(int(p.started.Add(1)))
	}
}

// acquire returns a job that nobody uses, or nil.
func (p *workers) acquire() *job {
	for i := range p.jobs {
		j := &p.jobs[i]
		if j.busy.Load() || j.inside.Load() != 0 || !j.busy.CompareAndSwap(false, true) {
			continue
		}
		if j.inside.Load() != 0 { // a worker of its last loop has not left it yet
			j.busy.Store(false)
			continue
		}
		return j
	}
	return nil
}

// run runs j on the caller and on workers, and returns when all its
// chunks have ended. It waits only for chunks that somebody runs. It returns
// what a chunk panicked with.
func (p *workers) run(j *job) *raised {
	helpers := j.threads - 1
	p.start(helpers)
	for i := range j.shares {
		j.next[i].Store(j.share(i))
	}
	j.done.Store(0)
	j.helpers.Store(int32(helpers))
	bit := uint64(1) << j.index(p)
	p.open.Or(bit)
	p.seq.Add(1)
	p.wakeUp(min(helpers, 2)) // these wake the others
	j.work(0)
	p.open.And(^bit)
	j.wait()
	r := j.panicked.Load()
	if r != nil {
		j.panicked.Store(nil)
		j.stopped.Store(false)
	}
	j.f, j.cancel = nil, nil
	j.busy.Store(false)
	return r
}

func (j *job) index(p *workers) uint {
	return uint((uintptr(unsafe.Pointer(j)) - uintptr(unsafe.Pointer(&p.jobs[0]))) / unsafe.Sizeof(*j))
}

// wait returns when the chunks that workers hold have ended.
func (j *job) wait() {
	var t0 time.Time
	for {
		for range 64 {
			if j.done.Load() == j.claims {
				return
			}
			pause()
		}
		if t0.IsZero() {
			t0 = time.Now()
		} else if time.Since(t0) > spinTime {
			break
		}
	}
	j.waiting.Store(true)
	if j.done.Load() == j.claims && j.waiting.CompareAndSwap(true, false) {
		return
	}
	<-j.fin
}

// watch polls for a job published after the one that made seq last.
func (p *workers) watch(last uint32) bool {
	for t0 := time.Now(); ; {
		for range 64 {
			if p.seq.Load() != last {
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

func (p *workers) worker(number int) {
	defer p.wg.Done()
	// A fault in memory that is mapped from a file becomes a panic, which the
	// caller of the loop gets.
	debug.SetPanicOnFault(true)
	for {
		last := p.seq.Load()
		if p.quit.Load() {
			return
		}
		if p.help(number) {
			continue
		}
		if p.watch(last) {
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

// help works on the jobs that want help, as the worker of that number from 1 on, and reports
// whether it found one.
func (p *workers) help(number int) (found bool) {
	for open := p.open.Load(); open != 0; open &= open - 1 {
		i := bits.TrailingZeros64(open)
		j := &p.jobs[i]
		j.inside.Add(1)
		// From here on the job stays what it is, if it is still open.
		if p.open.Load()>>i&1 != 0 && j.left() {
			if h := j.helpers.Add(-1); h >= 0 {
				p.wakeUp(min(int(h), 2))
				thread := number // always the same
				if thread >= j.threads {
					thread = j.threads - 1 - int(h)
				}
				j.help(thread)
				found = true
			}
		}
		j.inside.Add(-1)
	}
	return found
}
