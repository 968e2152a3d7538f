package runtime

import (
	"fmt"
	"math/bits"
	goruntime "runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/gneiss-run/gneiss/tensor"
)

// buffer is the storage of one or more tensors of a run. Tensors over it have
// it as their owner, so that views made by Reshape and the like are counted.
type buffer struct {
	data []byte
	refs int // slots that hold a tensor over it
	kind bufferKind
	rec  int // index in the recording of the run, -1: not recorded
	idx  int // index in the plan, for slab buffers
	// whole says that data is an allocation of the heap that has no finalizer: it may be recycled.
	whole bool
}

type bufferKind uint8

const (
	// pooled buffers go back to the run's free list with their last reference.
	pooled bufferKind = iota
	// planned buffers are parts of the plan's slab.
	planned
	// regional buffers are parts of the first run's region.
	regional
	// donated buffers are inputs that the caller lets a run write over.
	donated
	// escaped buffers belong to a value that may outlive its slots (an output,
	// an element of a sequence, a result of a nested graph): the garbage
	// collector frees them.
	escaped
)

// pin is added to the references of a part of the slab or region that must stay as it is
// until the run ends.
const pin = 1 << 30

// arena gives one run its memory. It is used by one goroutine at a time.
type arena struct {
	limit int64
	live  int64         // bytes in pooled buffers that are in use, and in the slab
	out   *atomic.Int64 // bytes in escaped buffers that are not collected yet
	reuse *recycler
	given int64 // bytes that escaped in this run
	free  map[int][]*buffer
	heads []*tensor.Tensor // to lend
	rec   *recording
	plan  *plan
	slab  *slab
	first *region // of a session's first run, else nil
}

// sizeClass rounds n up so that at most an eighth is wasted.
func sizeClass(n int) int {
	if n <= 512 {
		return (max(n, 1) + 63) &^ 63 // 0 would be no class
	}
	step := 1 << (bits.Len(uint(n-1)) - 4)
	return (n + step - 1) &^ (step - 1)
}

// take returns a buffer of at least n bytes.
func (a *arena) take(n int) (*buffer, error) {
	class := sizeClass(n)
	if class < n {
		return nil, fmt.Errorf("%w: %d bytes", ErrMemory, n)
	}
	if data := a.first.take(n); data != nil {
		return &buffer{data: data, kind: regional, rec: -1}, nil
	}
	if c := a.fitting(class); c > 0 {
		l := a.free[c]
		b := l[len(l)-1]
		a.free[c] = l[:len(l)-1]
		a.live += int64(c)
		b.rec = -1
		return b, nil
	}
	if err := a.reserve(class); err != nil {
		return nil, err
	}
	a.live += int64(class)
	if data := a.reuse.take(class); data != nil {
		return &buffer{data: data, rec: -1, whole: true}, nil
	}
	if b := newWhole(class); b != nil {
		return b, nil
	}
	return &buffer{data: tensor.AlignedBytes(class), rec: -1}, nil
}

// fitting returns the class of the free buffer to take for one of that class, 0 if there is
// none. Before there is a plan, new memory costs a fault for each page: a large
// buffer may be several times too large, unless memory is short.
func (a *arena) fitting(class int) int {
	const (
		large = 32 << 10
		loose = 4
	)
	for _, c := range [...]int{class, sizeClass(class + 1)} {
		if len(a.free[c]) > 0 {
			return c
		}
	}
	best := 0
	if class >= large {
		most := min(loose*int64(class), a.limit/2-a.live)
		for c, l := range a.free {
			if len(l) > 0 && c > class && int64(c) <= most && (best == 0 || c < best) {
				best = c
			}
		}
	}
	return best
}

// reserve says whether n more bytes may be allocated. What has escaped is
// counted until it is collected.
func (a *arena) reserve(n int) error {
	over := func() bool { return a.live+a.out.Load()+int64(n) > a.limit }
	if !over() {
		return nil
	}
	a.free = nil
	for wait := time.Millisecond; a.out.Load() > 0 && wait < 20*time.Millisecond; wait *= 2 {
		goruntime.GC()
		time.Sleep(wait) // cleanups run after the collection
		if !over() {
			return nil
		}
	}
	if !over() {
		return nil
	}
	return fmt.Errorf("%w: %d bytes in use, %d more wanted, %d allowed", ErrMemory, a.live+a.out.Load(), n, a.limit)
}

// release takes back a buffer without references.
func (a *arena) release(b *buffer, at int) {
	if b.rec >= 0 && a.rec != nil {
		a.rec.allocs[b.rec].death = at
	}
	switch b.kind {
	case planned:
		a.slab.used.unset(a.plan.allocs[b.idx].units())
		return
	case regional:
		a.first.give(b.data)
		return
	case donated, escaped:
		return
	}
	a.live -= int64(len(b.data))
	if a.free == nil {
		a.free = map[int][]*buffer{}
	}
	a.free[len(b.data)] = append(a.free[len(b.data)], b)
}

// header returns a tensor to lend.
func (a *arena) header() *tensor.Tensor {
	n := len(a.heads)
	if n == 0 {
		return &tensor.Tensor{}
	}
	t := a.heads[n-1]
	a.heads = a.heads[:n-1]
	return t
}

// end ends a loan at instruction at. A tensor whose buffer has escaped or is pinned may be in a sequence.
func (a *arena) end(l loan, at int) {
	if l.b.kind == escaped {
		return
	}
	if l.b.refs--; l.b.refs == 0 {
		a.release(l.b, at)
	}
	if l.head != nil && l.b.refs < pin {
		a.heads = append(a.heads, l.head)
	}
}

// minCounted is the size of results above which their memory is counted until
// it is collected: for small ones the count costs more than they do.
const minCounted = 16 << 10

// escape gives a pooled buffer to the garbage collector.
func (a *arena) escape(b *buffer) {
	switch b.kind {
	case planned, regional, donated:
		if b.refs < pin { // once: with int of 32 bits four would be none
			b.refs += pin
		}
	case pooled:
		b.kind = escaped
		n := int64(len(b.data))
		a.live -= n
		a.given += n
		a.reuse.away(b)
		if n < minCounted {
			return
		}
		a.out.Add(n)
		goruntime.AddCleanup(b, func(out *atomic.Int64) { out.Add(-n) }, a.out)
	}
}

// bufferOf returns the buffer of this package that t lies in, or nil.
func bufferOf(t *tensor.Tensor) *buffer {
	b, _ := t.Owner().(*buffer)
	return b
}

// hold counts a slot's reference to v.
func (a *arena) hold(v tensor.Value) {
	if t, ok := v.(*tensor.Tensor); ok {
		if b := bufferOf(t); b != nil && b.kind != escaped {
			b.refs++
		}
		return
	}
	a.escapeValue(v)
}

// drop ends a slot's reference to v, at instruction at.
func (a *arena) drop(v tensor.Value, at int) {
	if t, ok := v.(*tensor.Tensor); ok {
		if b := bufferOf(t); b != nil && b.kind != escaped {
			if b.refs--; b.refs == 0 {
				a.release(b, at)
			}
		}
	}
}

// escapeValue makes every tensor in v independent of slots.
func (a *arena) escapeValue(v tensor.Value) {
	switch v := v.(type) {
	case *tensor.Tensor:
		if b := bufferOf(v); b != nil {
			a.escape(b)
		}
	case *tensor.Sequence:
		for _, e := range v.Elems {
			a.escapeValue(e)
		}
	case *tensor.Optional:
		if v.Elem != nil {
			a.escapeValue(v.Elem)
		}
	case *tensor.Map:
		a.escapeValue(v.Keys)
		a.escapeValue(v.Values)
	}
}

// address returns the address of the first byte of b.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func (b *buffer) aligned() bool { return address(b.data)%tensor.Alignment == 0 }

// overlap reports whether a and b share memory.
func overlap(a, b []byte) bool {
	return len(a) > 0 && len(b) > 0 && address(a) < address(b)+uintptr(len(b)) && address(b) < address(a)+uintptr(len(a))
}

// detach returns v as a value of the caller: nothing in it is shared with the
// run, the model or an input. A small part of a buffer is copied, so that it does not
// keep the rest.
func (a *arena) detach(v tensor.Value) tensor.Value {
	switch v := v.(type) {
	case *tensor.Tensor:
		if b := bufferOf(v); b != nil && b.kind == pooled && len(b.data) <= 2*sizeClass(len(v.Bytes())) {
			a.escape(b)
			return v
		}
		return v.Clone()
	case *tensor.Sequence:
		if c := detachMaps(v); c != nil {
			return c
		}
		c := &tensor.Sequence{DType: v.DType, Elems: make([]tensor.Value, len(v.Elems))}
		for i, e := range v.Elems {
			c.Elems[i] = a.detach(e)
		}
		return c
	case *tensor.Optional:
		if v.Elem == nil {
			return v
		}
		return &tensor.Optional{Elem: a.detach(v.Elem)}
	case *tensor.Map:
		return &tensor.Map{Keys: v.Keys.Clone(), Values: v.Values.Clone()}
	}
	return v
}

// detachMaps returns a copy of a sequence of maps, such as a classifier makes for
// each row of its input, with few allocations; nil if s is another sequence.
func detachMaps(s *tensor.Sequence) *tensor.Sequence {
	if len(s.Elems) == 0 {
		return nil
	}
	if _, ok := s.Elems[0].(*tensor.Map); !ok {
		return nil
	}
	maps, values := make([]tensor.Map, len(s.Elems)), make([]*tensor.Tensor, len(s.Elems))
	c := &tensor.Sequence{DType: s.DType, Elems: make([]tensor.Value, len(s.Elems))}
	var keys, copied *tensor.Tensor
	for i, e := range s.Elems {
		m, ok := e.(*tensor.Map)
		if !ok {
			return nil
		}
		if m.Keys != keys {
			keys, copied = m.Keys, m.Keys.Clone()
		}
		maps[i].Keys, values[i] = copied, m.Values
	}
	copies := tensor.CloneAll(values)
	for i := range copies {
		maps[i].Values = &copies[i]
		c.Elems[i] = &maps[i]
	}
	return c
}
