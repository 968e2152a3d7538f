package ops

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/tensor"
)

// pair holds the loops of a function of two arguments: over two vectors, and
// over a vector and a scalar. dst may be a vector argument of the same type.
type pair[A, B, R tensor.Element] struct {
	vv func(dst []R, a []A, b []B)
	vs func(dst []R, a []A, b B)
	sv func(dst []R, a A, b []B)
	// rows, unless nil, are the loops over many rows at once.
	rows *vec.Rows
}

// zipVV, zipVS and zipSV inline into a caller that gives them a function
// literal, and the literal into them, so that the loop has no call.

func zipVV[A, B, R any](dst []R, a []A, b []B, f func(A, B) R) {
	a, b = a[:len(dst)], b[:len(dst)]
	for i := range dst {
		dst[i] = f(a[i], b[i])
	}
}

func zipVS[A, B, R any](dst []R, a []A, b B, f func(A, B) R) {
	a = a[:len(dst)]
	for i := range dst {
		dst[i] = f(a[i], b)
	}
}

func zipSV[A, B, R any](dst []R, a A, b []B, f func(A, B) R) {
	b = b[:len(dst)]
	for i := range dst {
		dst[i] = f(a, b[i])
	}
}

// pairOf makes the loops that call f for every element: for functions that
// cost more than a call.
//
//go:noinline
func pairOf[A, B, R tensor.Element](f func(A, B) R) pair[A, B, R] {
	return pair[A, B, R]{
		vv: func(d []R, a []A, b []B) { zipVV(d, a, b, f) },
		vs: func(d []R, a []A, b B) { zipVS(d, a, b, f) },
		sv: func(d []R, a A, b []B) { zipSV(d, a, b, f) },
	}
}

// erase returns f without its element types. check, unless nil, looks at the operands
// before the loop; it is not called if the output is empty.
//
//go:noinline
func (f pair[A, B, R]) erase(check func(a []A, b []B) error) pairLoops {
	l := pairLoops{
		da: tensor.DTypeOf[A](), db: tensor.DTypeOf[B](), dr: tensor.DTypeOf[R](),
		sizeA: int(unsafe.Sizeof(*new(A))), sizeB: int(unsafe.Sizeof(*new(B))), sizeR: int(unsafe.Sizeof(*new(R))),
		vv: func(d, a, b unsafe.Pointer, n int) {
			f.vv(unsafe.Slice((*R)(d), n), unsafe.Slice((*A)(a), n), unsafe.Slice((*B)(b), n))
		},
		vs: func(d, a, b unsafe.Pointer, n int) {
			f.vs(unsafe.Slice((*R)(d), n), unsafe.Slice((*A)(a), n), *(*B)(b))
		},
		sv: func(d, a, b unsafe.Pointer, n int) {
			f.sv(unsafe.Slice((*R)(d), n), *(*A)(a), unsafe.Slice((*B)(b), n))
		},
		rows: f.rows,
	}
	if r := f.rows; r != nil && l.dr != tensor.Float32 { // of float32 the pair has some of its own
		l.vv = func(d, a, b unsafe.Pointer, n int) { r.VV(d, a, b, n, 1, 0, 0) }
		l.vs = func(d, a, b unsafe.Pointer, n int) { r.VS(d, a, b, n, 1, 0, 0) }
		l.sv = func(d, a, b unsafe.Pointer, n int) { r.SV(d, a, b, n, 1, 0, 0) }
	}
	if check != nil {
		l.check = func(a, b vector) error {
			return check(unsafe.Slice((*A)(a.p), a.n), unsafe.Slice((*B)(b.p), b.n))
		}
	}
	return l
}

// kernel is the kernel of f over inputs 0 and 1 with broadcasting.
func (f pair[A, B, R]) kernel() Kernel { return f.erase(nil).kernel() }

// checkedKernel is kernel with a look at the operands before the loop; check
// is not called if the output is empty.
func checkedKernel[A, B, R tensor.Element](f pair[A, B, R], check func(a []A, b []B) error) Kernel {
	return f.erase(check).kernel()
}

// widenPair makes the loops over half precision floats from those over float32.
func widenPair[H half](f pair[float32, float32, float32]) pair[H, H, H] {
	return halfPair[H](f, func(w *buffers) []float32 { return w.d[:] }, narrowHalves[H])
}

// halfPair makes the loops over half precision floats from those over float32
// whose results R go through scratch and finish into dst.
func halfPair[H half, S, R tensor.Element](f pair[float32, float32, S], scratch func(*buffers) []S, finish func(dst []R, x []S)) pair[H, H, R] {
	widen := func(dst []float32, x []H) []float32 {
		widenHalves(dst, x)
		return dst[:len(x)]
	}
	blocks := func(n int, do func(w *buffers, lo, hi int)) {
		w := bufferPool.Get().(*buffers)
		defer bufferPool.Put(w)
		for lo := 0; lo < n; lo += block {
			do(w, lo, min(lo+block, n))
		}
	}
	return pair[H, H, R]{
		vv: func(d []R, a, b []H) {
			blocks(len(d), func(w *buffers, lo, hi int) {
				s := scratch(w)[:hi-lo]
				f.vv(s, widen(w.a[:], a[lo:hi]), widen(w.b[:], b[lo:hi]))
				finish(d[lo:hi], s)
			})
		},
		vs: func(d []R, a []H, b H) {
			v := b.Float32()
			blocks(len(d), func(w *buffers, lo, hi int) {
				s := scratch(w)[:hi-lo]
				f.vs(s, widen(w.a[:], a[lo:hi]), v)
				finish(d[lo:hi], s)
			})
		},
		sv: func(d []R, a H, b []H) {
			v := a.Float32()
			blocks(len(d), func(w *buffers, lo, hi int) {
				s := scratch(w)[:hi-lo]
				f.sv(s, v, widen(w.b[:], b[lo:hi]))
				finish(d[lo:hi], s)
			})
		},
	}
}

// widenCompare makes the loops of a comparison of half precision floats from
// those over float32.
func widenCompare[H half](f pair[float32, float32, bool]) pair[H, H, bool] {
	return halfPair[H](f, func(w *buffers) []bool { return w.m[:] }, func(dst, x []bool) { copy(dst, x) })
}

// floatPairs are the kernels of a function of two floats of the same type.
func floatPairs(f32 pair[float32, float32, float32], f64 pair[float64, float64, float64]) byType {
	return byType{
		tensor.Float32:  f32.kernel(),
		tensor.Float64:  f64.kernel(),
		tensor.Float16:  widenPair[tensor.F16](f32).kernel(),
		tensor.BFloat16: widenPair[tensor.BF16](f32).kernel(),
	}
}

// binaryVersions are the versions of a binary operator with broadcasting by
// the attributes broadcast and axis before opset 7, and by shape since. d is
// the element type of the output; Undefined: that of the inputs.
func binaryVersions(since int, d tensor.DType, build func(*BuildContext) (Kernel, error)) []Version {
	place := []int{0, 1}
	infer := inferArith
	if d != tensor.Undefined {
		infer = func(c *InferContext) error { return inferBroadcastTo(c, d) }
	}
	if since >= 7 {
		return []Version{{Since: since, In: N(2), Out: N(1), InPlace: place, Infer: infer, Build: build}}
	}
	old := func(b *BuildContext) (Kernel, error) {
		k, err := build(b)
		if err != nil {
			return nil, err
		}
		return legacyBroadcast(b, k), nil
	}
	return []Version{
		{Since: since, In: N(2), Out: N(1), InPlace: []int{0}, Infer: inferLegacy(d), Build: old},
		{Since: 7, In: N(2), Out: N(1), InPlace: place, Infer: infer, Build: build},
	}
}
