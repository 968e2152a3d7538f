package runtime

import (
	goruntime "runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/gneiss-run/gneiss/tensor"
)

// collected has the collector run until cond holds.
func collected(t *testing.T, cond func() bool) {
	t.Helper()
	for range 100 {
		goruntime.GC()
		if cond() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the collector does not find what is free")
}

func TestRecycler(t *testing.T) {
	const n = 1 << 20
	r := recycler{aging: true} // nothing ages here, however many collections other tests have asked for
	if r.take(n) != nil {
		t.Fatal("memory from nowhere")
	}
	b := newWhole(n)
	r.away(b)
	inner := b.data[n/2 : n/2+1] // as a caller may keep it
	at := address(b.data)
	b = nil
	for range 5 {
		goruntime.GC()
		time.Sleep(time.Millisecond)
	}
	if r.take(n) != nil {
		t.Fatal("memory that is referred to was given out")
	}
	goruntime.KeepAlive(inner)
	inner = nil
	for range 2 { // it may go round again
		var got []byte
		collected(t, func() bool { got = r.take(n); return got != nil })
		if address(got) != at || len(got) != n {
			t.Fatal("other memory")
		}
		r.away(&buffer{data: got, whole: true})
	}
}

func TestRecyclerAges(t *testing.T) {
	const n = 1 << 20
	r := recycler{aging: true} // only where the test says so
	r.put(make([]byte, n))
	r.age()
	b := r.take(n)
	if b == nil {
		t.Fatal("given up by the first collection")
	}
	r.put(b)
	r.age()
	r.age()
	if r.take(n) != nil {
		t.Fatal("kept through two collections")
	}
	var free recycler
	free.put(make([]byte, n))
	collected(t, func() bool { // nobody asks for it
		free.mu.Lock()
		defer free.mu.Unlock()
		return len(free.free[0])+len(free.free[1]) == 0 && !free.aging
	})
}

// TestRecyclerIsBounded: of many results only some are watched, since what has a finalizer is in
// use for the collector's reckoning, and of these none are counted when they are gone.
func TestRecyclerIsBounded(t *testing.T) {
	const n = 1 << 20
	r := recycler{aging: true}
	fill := func() {
		for range 100 {
			r.away(newWhole(n))
		}
	}
	free := func() (sum int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, f := range r.free {
			for n, l := range f {
				sum += n * len(l)
			}
		}
		return sum
	}
	fill()
	collected(t, func() bool { return free() >= minWatched })
	fill()
	for range 5 {
		goruntime.GC()
		time.Sleep(time.Millisecond)
	}
	if got := free(); got != minWatched {
		t.Errorf("%d bytes are kept, want %d", got, minWatched)
	}
	for r.take(n) != nil {
	}
	r.age()
	if r.kept != 0 {
		t.Errorf("%d bytes are counted of nothing", r.kept)
	}
}

// TestFinalizersAreSetOnce: the Go runtime ends the process when a finalizer is
// set a second time or on what does not begin an allocation. Whatever leaves a
// run, and however often, its memory gets one or none.
func TestFinalizersAreSetOnce(t *testing.T) {
	for n := 1; n < 1<<26; n += 1 + n/3 {
		var out atomic.Int64
		a := arena{limit: 1 << 40, out: &out, reuse: &recycler{}}
		b, err := a.take(n)
		if err != nil {
			t.Fatal(err)
		}
		if want := len(b.data) >= minRecycled; b.whole != want {
			t.Fatalf("%d bytes: whole is %t, want %t", n, b.whole, want)
		}
		x, err := tensor.FromBytes(tensor.Uint8, []int{n}, b.data[:n], b)
		if err != nil {
			t.Fatal(err)
		}
		tail, err := tensor.FromBytes(tensor.Uint8, []int{1}, b.data[n-1:n], b)
		if err != nil {
			t.Fatal(err)
		}
		a.escapeValue(&tensor.Sequence{Elems: []tensor.Value{x, tail, x}})
		a.detach(&tensor.Sequence{Elems: []tensor.Value{tail, x}})
		a.detach(x)
		a.escape(b)
		a.reuse.away(b)
		if b.whole || b.kind != escaped {
			t.Fatalf("%d bytes: whole %t, kind %d", n, b.whole, b.kind)
		}
	}
}

// giveAway makes r ask for a collection, if it does, and waits for its end.
func giveAway(r *recycler) {
	for range 8 {
		r.away(newWhole(8 << 20))
		r.ran(8 << 20)
	}
	for r.busy.Load() {
		time.Sleep(time.Millisecond)
	}
}

func forced() uint64 {
	s := []metrics.Sample{{Name: "/gc/cycles/forced:gc-cycles"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

func TestRecyclerAsks(t *testing.T) {
	// A collection that is due at the same time would take the place of the one that is asked for.
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	goruntime.GC()
	before := forced()
	giveAway(&recycler{})
	if forced() == before {
		t.Error("no collection was asked for")
	}
	pointers := make([]*int, (maxScan+1<<20)/unsafe.Sizeof((*int)(nil)))
	goruntime.GC()
	before = forced()
	giveAway(&recycler{})
	if forced() != before {
		t.Error("a collection was asked for in a process with many pointers")
	}
	goruntime.KeepAlive(pointers)
}
