package ops

import (
	"fmt"
	"slices"

	f16 "github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// floating are the types that float operators compute in.
type floating interface{ float32 | float64 }

// realKernels picks by the element type of input i: k32 computes float32 and,
// widened by realsOf, float16 and bfloat16; k64 computes float64.
func (b *BuildContext) realKernels(i int, k32, k64 Kernel) (Kernel, error) {
	return b.dispatch(i, byType{tensor.Float32: k32, tensor.Float16: k32, tensor.BFloat16: k32, tensor.Float64: k64})
}

// realsOf returns the elements of a floating-point tensor as T: its storage if
// that is its type, else a converted copy; nil if t is nil.
func realsOf[T floating](t *tensor.Tensor) ([]T, error) { return realsFor[T](&Call{Mem: heap{}}, t) }

// realsFor is realsOf with the copy in working memory of c.
func realsFor[T floating](c *Call, t *tensor.Tensor) ([]T, error) {
	switch {
	case t == nil:
		return nil, nil
	case t.DType() == dtypeOf[T]():
		return tensor.Data[T](t), nil
	}
	switch t.DType() {
	case tensor.Float16, tensor.BFloat16:
		w := Scratch[float32](c, t.Len())
		h, kind, _ := halvesOf(t)
		f16.Widen(kind, w, h)
		if r, ok := any(w).([]T); ok {
			return r, nil
		}
		return convertInto(Scratch[T](c, len(w)), w), nil
	case tensor.Float32:
		return convertInto(Scratch[T](c, t.Len()), tensor.Data[float32](t)), nil
	case tensor.Float64:
		return convertInto(Scratch[T](c, t.Len()), tensor.Data[float64](t)), nil
	}
	return nil, fmt.Errorf("%w: element type %v, want floating point", ErrUnsupported, t.DType())
}

func convertInto[T, S floating](r []T, s []S) []T {
	for i, v := range s {
		r[i] = T(v)
	}
	return r
}

// reals is realsOf for input i, valid until the call ends.
func reals[T floating](c *Call, i int) ([]T, error) {
	r, err := realsFor[T](c, c.T(i))
	if err != nil {
		return nil, fmt.Errorf("input %d: %w", i, err)
	}
	return r, nil
}

// numberOf returns the only element of a real tensor.
func numberOf(t *tensor.Tensor) (float64, error) {
	var f [1]float64
	var n [1]int64
	switch d := t.DType(); {
	case d.IsFloat():
		loadFloats(f[:], t, 0)
	case d == tensor.Uint64:
		f[0] = float64(tensor.Data[uint64](t)[0])
	case d.IsInt() || d == tensor.Bool:
		loadInts(n[:], t, 0)
		f[0] = float64(n[0])
	default:
		return 0, fmt.Errorf("element type %v, want real numbers", d)
	}
	return f[0], nil
}

// realsOut makes output i of floating-point type d. The kernel fills the slice
// and then calls done, which rounds to d where T is another type.
func realsOut[T floating](c *Call, i int, d tensor.DType, shape ...int) (data []T, done func()) {
	out := c.Output(i, d, shape...)
	if d == tensor.DTypeOf[T]() {
		return tensor.Data[T](out), nothing
	}
	data = Scratch[T](c, out.Len())
	r := c.rounding(out)
	switch d := any(data).(type) {
	case []float32:
		r.f32 = d
	case []float64:
		r.f64 = d
	}
	return data, r.done
}

func nothing() {}

// rounding is an output that is computed in another type, f32 or f64.
type rounding struct {
	out  *tensor.Tensor
	f32  []float32
	f64  []float64
	done func() // is store: calls use their roundings again, and with them these functions
}

// rounding returns a rounding to out, this call's until it ends.
func (c *Call) rounding(out *tensor.Tensor) *rounding {
	if c.rounds == len(c.roundings) {
		r := &rounding{}
		r.done = r.store
		c.roundings = append(c.roundings, r)
	}
	r := c.roundings[c.rounds]
	c.rounds++
	r.out = out
	return r
}

// store rounds once; then the rounding holds nothing any more.
func (r *rounding) store() {
	switch {
	case r.f32 != nil:
		storeReals(r.out, r.f32)
	case r.f64 != nil:
		storeReals(r.out, r.f64)
	}
	r.clear()
}

func (r *rounding) clear() { r.out, r.f32, r.f64 = nil, nil, nil }

// storeReals rounds src into dst, a floating-point tensor of as many elements.
func storeReals[T floating](dst *tensor.Tensor, src []T) {
	if h, kind, ok := halvesOf(dst); ok {
		if f, ok := any(src).([]float32); ok {
			f16.Narrow(kind, h, f[:len(h)])
			return
		}
	}
	switch dst.DType() {
	case tensor.Float32:
		for i, d := 0, tensor.Data[float32](dst); i < len(d); i++ {
			d[i] = float32(src[i])
		}
	case tensor.Float64:
		for i, d := 0, tensor.Data[float64](dst); i < len(d); i++ {
			d[i] = float64(src[i])
		}
	case tensor.Float16:
		for i, d := 0, tensor.Data[tensor.F16](dst); i < len(d); i++ {
			d[i] = tensor.F16Of(float32(src[i]))
		}
	case tensor.BFloat16:
		for i, d := 0, tensor.Data[tensor.BF16](dst); i < len(d); i++ {
			d[i] = tensor.BF16Of(float32(src[i]))
		}
	default:
		panic("ops: storeReals to a type that is not floating point")
	}
}

// splitAxis returns how a row-major shape is read along one axis: outer blocks
// of n times inner elements.
func splitAxis(shape []int, axis int) (outer, n, inner int) {
	outer, inner = 1, 1
	for _, d := range shape[:axis] {
		outer *= d
	}
	for _, d := range shape[axis+1:] {
		inner *= d
	}
	return outer, shape[axis], inner
}

const alongBlock = 16 // lines gathered together where the axis is not the innermost

// alongAxis calls f for each line of x along an axis (see splitAxis) and the
// same line of y. dst and src may be the same memory, as y and x may.
func alongAxis[T tensor.Element](p par.P, y, x []T, outer, n, inner int, f func(dst, src []T)) {
	if len(x) == 0 {
		return
	}
	if inner == 1 {
		par.Run(p, outer, 1+(1<<13)/n, par.With(lineLoop[T]{y, x, n, f}))
		return
	}
	blocks := (inner + alongBlock - 1) / alongBlock
	par.Run(p, outer*blocks, 1+(1<<13)/(n*min(inner, alongBlock)), par.With(columnLoop[T]{lineLoop[T]{y, x, n, f}, blocks, inner}))
}

// lineLoop calls f for lines of n elements.
type lineLoop[T tensor.Element] struct {
	y, x []T
	n    int
	f    func(dst, src []T)
}

func (l *lineLoop[T]) Chunk(lo, hi int) {
	for i, n := lo, l.n; i < hi; i++ {
		l.f(l.y[i*n:(i+1)*n], l.x[i*n:(i+1)*n])
	}
}

// columnLoop calls f for lines whose elements are inner apart, a block of lines at a time.
type columnLoop[T tensor.Element] struct {
	lineLoop[T]
	blocks, inner int
}

func (l *columnLoop[T]) Chunk(lo, hi int) {
	mem, pool := borrow[[]T]()
	defer pool.Put(mem)
	x, y, n, inner, blocks := l.x, l.y, l.n, l.inner, l.blocks
	*mem = slices.Grow((*mem)[:0], n*min(inner, alongBlock))
	buf := (*mem)[:n*min(inner, alongBlock)]
	for t := lo; t < hi; t++ {
		base, m := t/blocks*n*inner+t%blocks*alongBlock, min(alongBlock, inner-t%blocks*alongBlock)
		for i := 0; i < n; i++ {
			for j, v := range x[base+i*inner:][:m] {
				buf[j*n+i] = v
			}
		}
		for j := 0; j < m; j++ {
			l.f(buf[j*n:(j+1)*n], buf[j*n:(j+1)*n])
		}
		for i := 0; i < n; i++ {
			for j := range y[base+i*inner:][:m] {
				y[base+i*inner+j] = buf[j*n+i]
			}
		}
	}
}
