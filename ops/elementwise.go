package ops

import (
	"fmt"
	"maps"
	"sync"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

type signedInt interface{ int8 | int16 | int32 | int64 }

type unsignedInt interface {
	uint8 | uint16 | uint32 | uint64
}

type integer interface{ signedInt | unsignedInt }

type float interface{ float32 | float64 }

type number interface{ integer | float }

type half interface {
	tensor.F16 | tensor.BF16
	Float32() float32
}

// loop computes dst[i] from x[i]; len(x) == len(dst), and dst may be x if the
// types are the same.
type loop[T, R any] func(dst []R, x []T)

// mapLoop calls f for every element: for functions that cost more than a call.
func mapLoop[T, R any](f func(T) R) loop[T, R] {
	return func(dst []R, x []T) {
		for i, v := range x[:len(dst)] {
			dst[i] = f(v)
		}
	}
}

// zip inlines into a caller that gives it a function literal, and the literal
// into it, so that the loop has no call.
func zip[T, R any](dst []R, x []T, f func(T) R) {
	x = x[:len(dst)]
	for i := range dst {
		dst[i] = f(x[i])
	}
}

// unaryKernel computes output 0 from input 0, element by element.
//
//go:noinline
func unaryKernel[T, R tensor.Element](f loop[T, R]) Kernel {
	return func(c *Call) error {
		x := c.T(0)
		y := c.Output(0, tensor.DTypeOf[R](), x.Shape()...)
		src, dst := tensor.Data[T](x), tensor.Data[R](y)
		if len(dst) <= grain { // without a closure, for the many small tensors
			f(dst, src)
			return nil
		}
		par.Run(c.P, len(dst), grain, par.With(unaryLoop[T, R]{f, dst, src}))
		return nil
	}
}

// unaryLoop runs a loop on parts of its operands.
type unaryLoop[T, R tensor.Element] struct {
	f   loop[T, R]
	dst []R
	src []T
}

func (u *unaryLoop[T, R]) Chunk(lo, hi int) { u.f(u.dst[lo:hi], u.src[lo:hi]) }

// block is the number of elements that the half precision loops widen at once.
const block = 512

// buffers are what a half precision loop works in.
type buffers struct {
	a, b, d [block]float32
	m       [block]bool
}

var bufferPool = sync.Pool{New: func() any { return new(buffers) }}

// widenLoop makes a loop over half precision floats from one over float32.
func widenLoop[H half](f loop[float32, float32]) loop[H, H] {
	return func(dst []H, x []H) {
		w := bufferPool.Get().(*buffers)
		defer bufferPool.Put(w)
		for lo := 0; lo < len(dst); lo += block {
			n := min(block, len(dst)-lo)
			widenHalves(w.a[:n], x[lo:lo+n])
			f(w.a[:n], w.a[:n])
			narrowHalves(dst[lo:lo+n], w.a[:n])
		}
	}
}

// floatKernels are the kernels of a function of the four float types.
func floatKernels(f32 loop[float32, float32], f64 loop[float64, float64]) byType {
	return byType{
		tensor.Float32:  unaryKernel(f32),
		tensor.Float64:  unaryKernel(f64),
		tensor.Float16:  unaryKernel(widenLoop[tensor.F16](f32)),
		tensor.BFloat16: unaryKernel(widenLoop[tensor.BF16](f32)),
	}
}

// mathKernels are the kernels of a function that is computed in float64.
func mathKernels(f func(float64) float64) byType {
	return floatKernels(mapLoop(func(x float32) float32 { return float32(f(float64(x))) }), mapLoop(f))
}

// merge returns the union of the tables.
func merge(ms ...byType) byType {
	out := byType{}
	for _, m := range ms {
		maps.Copy(out, m)
	}
	return out
}

// buildTable builds an operator without attributes that depends only on the
// element type of input 0.
func buildTable(m byType) func(*BuildContext) (Kernel, error) {
	return func(b *BuildContext) (Kernel, error) { return b.need(0, m) }
}

// vecTable is buildTable for a table of kernels that depends on the vector
// routines, which are chosen when the node is built.
func vecTable(f func(*vec.Table) byType) func(*BuildContext) (Kernel, error) {
	var made sync.Map // *vec.Table to byType
	return func(b *BuildContext) (Kernel, error) {
		t := vec.Best()
		m, ok := made.Load(t)
		if !ok {
			m, _ = made.LoadOrStore(t, f(t))
		}
		return b.need(0, m.(byType))
	}
}

// need is dispatch that also checks that input i is there.
func (b *BuildContext) need(i int, m byType) (Kernel, error) {
	if !b.Has(i) {
		return nil, fmt.Errorf("input %d is absent", i)
	}
	return b.dispatch(i, m)
}

// unaryVersions are the versions of an operator of one input whose output has
// the input's type. Before opset 6 the attribute consumed_inputs, a hint about
// memory, may be given.
func unaryVersions(since int, build func(*BuildContext) (Kernel, error)) []Version {
	if since > 1 {
		return plainVersions(since, build)
	}
	old, cur := plainVersions(1, build)[0], plainVersions(6, build)[0]
	old.Build = func(b *BuildContext) (Kernel, error) {
		b.Ignore("consumed_inputs")
		return build(b)
	}
	return []Version{old, cur}
}

// plainVersions is unaryVersions for operators that never had consumed_inputs.
func plainVersions(since int, build func(*BuildContext) (Kernel, error)) []Version {
	return []Version{{Since: since, In: N(1), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: build}}
}
