package runtime

import (
	goruntime "runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/huge"
)

// recycler keeps the memory of results that nobody refers to any more for later
// results. Memory that is new to the process costs several times as much as the
// copy into it, and results (logits, caches of keys and values) are new with
// each run.
//
// That nobody refers to it the garbage collector says, by a finalizer. Weights
// make a large heap, of which the collector waits for as much again before it
// looks. So after some large results it is asked to, where that is cheap: what
// it costs is following the process's pointers, and weights hold none. In a
// process that has many, or when asking has taken its share of time, results
// are new memory until the collector comes round by itself.
// Memory that two collections see unused is given up.
type recycler struct {
	mu    sync.Mutex
	free  [2]map[int][][]byte // by length: of late, and from before the last collection
	aging bool                // a finalizer will call age
	ended bool                // nothing is kept any more
	kept  int64               // bytes of results that are watched, and of what is free

	most    atomic.Int64 // bytes that one run gave away at most
	since   atomic.Int64 // bytes given away since the last collection
	busy    atomic.Bool  // a collection was asked for
	notTill atomic.Int64 // Unix nanoseconds
}

const (
	minRecycled = 4 << 10  // smaller results are left alone: to watch one costs about as much as it does
	minAsk      = 4 << 20  // bytes between collections that are asked for
	minWatched  = 16 << 20 // bytes that may be watched in any case
	maxScan     = 32 << 20 // bytes that a collection which is asked for may have to search for pointers
	askShare    = 50       // collections are asked for in one of so many parts of a core's time
)

// take returns n bytes with any contents, or nil.
func (r *recycler) take(n int) []byte {
	if n < minRecycled {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, free := range r.free {
		if l := free[n]; len(l) > 0 {
			b := l[len(l)-1]
			l[len(l)-1] = nil
			free[n] = l[:len(l)-1]
			r.kept -= int64(n)
			return b
		}
	}
	return nil
}

// away notes that b is a result now. A finalizer must be set on the first byte
// of an allocation, and once: whole says that data is one and has none yet.
func (r *recycler) away(b *buffer) {
	if !b.whole {
		return
	}
	b.whole = false
	n := len(b.data)
	r.since.Add(int64(n))
	if !r.keep(int64(n)) {
		return
	}
	goruntime.SetFinalizer(unsafe.SliceData(b.data), func(p *byte) { r.put(unsafe.Slice(p, n)) })
}

// keep reports whether n more bytes may be watched. A collection counts what has a finalizer
// as in use and waits for as much again to come, so without a bound the heap would grow from one to the next.
func (r *recycler) keep(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.kept > 0 && r.kept+n > max(minWatched, 2*r.most.Load()) {
		return false
	}
	r.kept += n
	return true
}

// newWhole returns a buffer of n bytes of new memory. Above minRecycled it is
// an allocation of its own, which the heap puts on pages of its own.
func newWhole(n int) *buffer {
	if n >= minRecycled {
		if b := (&buffer{data: unset(n), rec: -1, whole: true}); b.aligned() {
			huge.Advise(unsafe.Pointer(unsafe.SliceData(b.data)), n)
			return b
		}
	}
	return nil
}

// unset returns n bytes of the heap with any contents: zeroing them costs as much as writing a result, which
// covers them anyway. The library offers such memory through strings.Builder alone.
func unset(n int) []byte {
	var b strings.Builder
	b.Grow(n)
	b.WriteByte(0) // the string of an empty Builder need not point to its memory
	return unsafe.Slice(unsafe.StringData(b.String()), n)
}

// put takes back the memory of a result.
func (r *recycler) put(data []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	if r.free[0] == nil {
		r.free[0] = map[int][][]byte{}
	}
	r.free[0][len(data)] = append(r.free[0][len(data)], data)
	if !r.aging {
		r.aging = true
		r.watch()
	}
}

// watch has age called after the next collection.
func (r *recycler) watch() {
	goruntime.SetFinalizer(&struct{ r *recycler }{r}, func(w *struct{ r *recycler }) { w.r.age() })
}

// age gives up what was old already.
func (r *recycler) age() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, l := range r.free[1] {
		r.kept -= int64(n * len(l))
	}
	r.free = [2]map[int][][]byte{nil, r.free[0]}
	if r.aging = len(r.free[1]) > 0; r.aging {
		r.watch()
	}
}

// ran notes that a run gave n bytes away and has the collector look for results
// that are free if that may pay.
func (r *recycler) ran(n int64) {
	if n < minRecycled {
		return
	}
	for {
		m := r.most.Load()
		if n <= m || r.most.CompareAndSwap(m, n) {
			break
		}
	}
	if r.since.Load() < max(minAsk, 2*r.most.Load()) || time.Now().UnixNano() < r.notTill.Load() || !r.busy.CompareAndSwap(false, true) {
		return
	}
	r.since.Store(0)
	scan, before := collector()
	if scan > maxScan {
		r.notTill.Store(time.Now().Add(time.Second).UnixNano())
		r.busy.Store(false)
		return
	}
	go func() {
		goruntime.GC()
		_, after := collector()
		r.notTill.Store(time.Now().Add(askShare * (after - before)).UnixNano())
		r.busy.Store(false)
	}()
}

// collector returns how many bytes a collection would search for pointers now,
// and the processor time that collections have taken from the program so far.
func collector() (scan uint64, took time.Duration) {
	s := [...]metrics.Sample{{Name: "/gc/scan/total:bytes"}, {Name: "/cpu/classes/gc/total:cpu-seconds"}, {Name: "/cpu/classes/gc/mark/idle:cpu-seconds"}}
	metrics.Read(s[:])
	for i := range s {
		if s[i].Value.Kind() == metrics.KindBad { // a later Go does not tell: then nothing is asked for
			return ^uint64(0), 0
		}
	}
	return s[0].Value.Uint64(), time.Duration(1e9 * (s[1].Value.Float64() - s[2].Value.Float64()))
}

// end forgets what is free and keeps nothing from now on.
func (r *recycler) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free, r.ended = [2]map[int][][]byte{}, true
}
