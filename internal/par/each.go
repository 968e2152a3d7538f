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

// Chunker is what the body of a Loop works on: Chunk is that body.
type Chunker interface{ Chunk(lo, hi int) }

// Loop is the body of one Run, which With makes.
type Loop struct {
	body  Chunker
	value reflect.Value // what body points to
	chunk func(lo, hi int)
	pool  *sync.Pool // where it comes from
}

// Run is Each with the body that l is, which it takes back: for generic functions, whose function
// literals are allocated even if they capture nothing.
//
//	par.Run(p, n, grain, par.With(scaleArgs[T]{y, x, k}))
func Run(p P, n, grain int, l *Loop) {
	p.For(n, grain, l.chunk)
	l.value.SetZero()
	l.pool.Put(l) // after a panic it is left to the collector
}

// With returns a loop that works on a. It is inlined: there are hundreds of As, whose names alone
// would be large.
func With[A any, C interface {
	*A
	Chunker
}](a A) *Loop {
	l := loopOf(C(nil))
	*l.body.(C) = a
	return l
}

// loopOf returns a loop whose body is of the type of c, a pointer.
func loopOf(c Chunker) *Loop {
	t := reflect.TypeOf(c)
	pool := poolFor(t)
	if l, ok := pool.Get().(*Loop); ok {
		return l
	}
	v := reflect.New(t.Elem())
	l := &Loop{body: v.Interface().(Chunker), value: v.Elem(), pool: pool}
	l.chunk = l.body.Chunk
	return l
}

var pools sync.Map // reflect.Type: *sync.Pool of loops with that type

func poolFor(t reflect.Type) *sync.Pool {
	p, ok := pools.Load(t)
	if !ok {
		p, _ = pools.LoadOrStore(t, &sync.Pool{})
	}
	return p.(*sync.Pool)
}

func poolOf[L any]() *sync.Pool { return poolFor(reflect.TypeFor[L]()) }

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
