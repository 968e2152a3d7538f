package runtime

import (
	goruntime "runtime"
	"testing"
	"time"
	"unsafe"
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
	var r recycler
	if r.take(n) != nil {
		t.Fatal("memory from nowhere")
	}
	data := make([]byte, n)
	r.away(data)
	inner := data[n/2 : n/2+1] // as a caller may keep it
	at := uintptr(unsafe.Pointer(&data[0]))
	data = nil
	for range 5 {
		goruntime.GC()
		time.Sleep(time.Millisecond)
	}
	if r.take(n) != nil {
		t.Fatal("memory that is referred to was given out")
	}
	goruntime.KeepAlive(inner)
	inner = nil
	var got []byte
	collected(t, func() bool { got = r.take(n); return got != nil })
	if uintptr(unsafe.Pointer(&got[0])) != at || len(got) != n {
		t.Fatal("other memory")
	}
	r.away(got) // it may go round again
	got = nil
	collected(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.free[0][n])+len(r.free[1][n]) > 0
	})
	collected(t, func() bool { // nobody asks for it
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.free[0])+len(r.free[1]) == 0
	})
}

func TestRecyclerAsks(t *testing.T) {
	var r recycler
	for range 8 {
		r.away(make([]byte, 8<<20))
		r.ran(8 << 20)
	}
	for range 1000 {
		if r.notTill.Load() > 0 && !r.busy.Load() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("no collection was asked for")
}
