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

// Chunker is what Run works on: Chunk is the body of its loop.
type Chunker interface{ Chunk(lo, hi int) }

// Run is Each with the method Chunk of c, which With made, as body: for generic functions, whose
// function literals are allocated even if they capture nothing. It takes c back.
//
//	par.Run(p, n, grain, par.With(scaleArgs[T]{y, x, k}))
func Run(p P, n, grain int, c Chunker) {
	l, ok := methodLoops.Get().(*methodLoop)
	if !ok {
		l = &methodLoop{}
		l.chunk = func(lo, hi int) { l.body.Chunk(lo, hi) }
	}
	l.body = c
	p.For(n, grain, l.chunk)
	l.body = nil
	methodLoops.Put(l) // after a panic it is left to the collector, as is c
	v := reflect.ValueOf(c)
	v.Elem().SetZero()
	chunkers(v.Type()).Put(c)
}

// With returns memory that holds a, for one Run. It is inlined: there are hundreds of As, whose
// names alone would be large.
func With[A any, C interface {
	*A
	Chunker
}](a A) C {
	c := lend(C(nil)).(C)
	*c = a
	return c
}

// lend returns a pointer of the type of c to zeroed memory.
func lend(c Chunker) Chunker {
	t := reflect.TypeOf(c)
	if c, ok := chunkers(t).Get().(Chunker); ok {
		return c
	}
	return reflect.New(t.Elem()).Interface().(Chunker)
}

func chunkers(t reflect.Type) *sync.Pool {
	p, ok := loops.Load(t)
	if !ok {
		p, _ = loops.LoadOrStore(t, &sync.Pool{})
	}
	return p.(*sync.Pool)
}

type methodLoop struct {
	body  Chunker
	chunk func(lo, hi int)
}

var methodLoops sync.Pool // of *methodLoop

var loops sync.Map // reflect.Type of L or C: *sync.Pool of *L or C

func poolOf[L any]() *sync.Pool { return chunkers(reflect.TypeFor[L]()) }

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
