package par

import (
	"math"
	"reflect"
	"sync"
)

// Each is P.For for loops that run often: body gets what it works on as an
// argument instead of as captured variables, so that no memory is allocated.
//
//	par.Each(p, n, grain, scaleArgs{y, x, k}, func(a *scaleArgs, lo, hi int) { … })
//
// A function literal that captures variables is allocated at each call of For;
// one that captures none is not. body must not change a, which all threads share,
// and must not keep it.
func Each[A any](p P, n, grain int, a A, body func(a *A, lo, hi int)) {
	if n <= 0 {
		return
	}
	pool := poolOf[loop[A]]()
	l, ok := pool.Get().(*loop[A])
	if !ok {
		l = &loop[A]{}
		l.chunk = func(lo, hi int) { l.body(&l.args, lo, hi) }
	}
	l.args, l.body = a, body
	p.For(n, grain, l.chunk)
	var zero A
	l.args, l.body = zero, nil
	pool.Put(l) // after a panic it is left to the collector
}

// loop is the state of one Each in progress.
type loop[A any] struct {
	args  A
	body  func(a *A, lo, hi int)
	chunk func(lo, hi int)
}

// Chunker is what Run works on: an A whose method Chunk is the body of the loop.
type Chunker[A any] interface {
	*A
	Chunk(lo, hi int)
}

// Run is Each with the method Chunk of *A as body: for generic functions, whose
// function literals are allocated even if they capture nothing.
func Run[A any, C Chunker[A]](p P, n, grain int, a A) {
	if n <= 0 {
		return
	}
	// What does not need A is not generic: there are hundreds of As.
	l, pool := borrow(reflect.TypeFor[A]())
	c, ok := l.body.(C)
	if !ok {
		c = new(A)
		l.body = c
	}
	*c = a
	p.For(n, grain, l.chunk)
	var zero A
	*c = zero
	pool.Put(l)
}

type methodLoop struct {
	body  interface{ Chunk(lo, hi int) }
	chunk func(lo, hi int)
}

func borrow(t reflect.Type) (*methodLoop, *sync.Pool) {
	p, ok := methodLoops.Load(t)
	if !ok {
		p, _ = methodLoops.LoadOrStore(t, &sync.Pool{})
	}
	pool := p.(*sync.Pool)
	l, ok := pool.Get().(*methodLoop)
	if !ok {
		l = &methodLoop{}
		l.chunk = func(lo, hi int) { l.body.Chunk(lo, hi) }
	}
	return l, pool
}

var methodLoops sync.Map // reflect.Type of A: *sync.Pool of *methodLoop

var loops sync.Map // reflect.Type of L: *sync.Pool of *L

func poolOf[L any]() *sync.Pool {
	t := reflect.TypeFor[L]()
	if p, ok := loops.Load(t); ok {
		return p.(*sync.Pool)
	}
	p, _ := loops.LoadOrStore(t, &sync.Pool{})
	return p.(*sync.Pool)
}

const (
	chunkNanos  = 4000 // below this much work a chunk is not worth its claim and the lines of cache that change hands
	serialNanos = 2 * chunkNanos
	maxChunks   = 256 // enough to balance the load of 64 threads
)

// Grain returns the grain for a loop of n steps that take about nanos
// nanoseconds each on one core: one rule for which loops run in parallel and in
// what pieces. It depends on the loop alone, so chunk bounds do too. A loop of
// less than 8 µs is one chunk.
func Grain(n int, nanos float64) int {
	if n <= 1 {
		return 1
	}
	total := float64(n) * nanos
	if !(total > serialNanos) {
		return n
	}
	chunks := min(total/chunkNanos, maxChunks)
	return max(1, int(math.Ceil(float64(n)/chunks)))
}

// Nanos estimates the time of one step of a loop by what it computes and what
// it moves: floating-point operations in vectors, bytes from the second-level cache.
func Nanos(flops, bytes float64) float64 { return max(flops/40, bytes/25) }
