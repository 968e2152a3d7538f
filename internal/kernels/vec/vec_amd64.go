//go:build !noasm

package vec

import (
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

//go:generate sh -c "cd ../_gen && go build -o /tmp/gneiss-gen-vec ./vec && cd ../vec && /tmp/gneiss-gen-vec && rm /tmp/gneiss-gen-vec"

// The routines of vec_amd64.s do what the loops in generic.go do, with
// polynomials in place of tables. They read and write exactly n elements, at
// any alignment; dst may be an input.

//go:noescape
func exp512(dst, x unsafe.Pointer, n int)

//go:noescape
func sigmoid512(dst, x unsafe.Pointer, n int)

//go:noescape
func tanh512(dst, x unsafe.Pointer, n int)

//go:noescape
func erf512(dst, x unsafe.Pointer, n int)

//go:noescape
func gelu512(dst, x unsafe.Pointer, n int)

//go:noescape
func geluTanh512(dst, x unsafe.Pointer, n int)

//go:noescape
func swish512(dst, x unsafe.Pointer, n int, alpha float32)

//go:noescape
func add512(dst, a, b unsafe.Pointer, n int)

//go:noescape
func sub512(dst, a, b unsafe.Pointer, n int)

//go:noescape
func mul512(dst, a, b unsafe.Pointer, n int)

//go:noescape
func div512(dst, a, b unsafe.Pointer, n int)

//go:noescape
func addScalar512(dst, a unsafe.Pointer, n int, s float32)

//go:noescape
func mulScalar512(dst, a unsafe.Pointer, n int, s float32)

//go:noescape
func clip512(dst, x unsafe.Pointer, n int, lo, hi float32)

func archTables() []*Table {
	if !cpu.Found.AVX512 || !cpu.Found.AVX2 {
		return nil
	}
	t := generic
	t.Name = cpu.AVX512
	t.Add, t.Sub, t.Mul, t.Div = binary(add512), binary(sub512), binary(mul512), binary(div512)
	t.AddScalar, t.MulScalar = scalar(addScalar512), scalar(mulScalar512)
	t.Exp, t.Tanh, t.Sigmoid, t.Erf = unary(exp512), unary(tanh512), unary(sigmoid512), unary(erf512)
	t.Gelu, t.GeluTanh = unary(gelu512), unary(geluTanh512)
	swish := scalar(swish512)
	t.Swish = func(dst, x []float32, alpha float32) {
		if alpha > 0 {
			swish(dst, x, alpha)
			return
		}
		swishLoop(dst, x, alpha)
	}
	t.Clip = func(dst, x []float32, lo, hi float32) {
		pieces(len(dst), func(i, j int) { clip512(at(dst, i), at(x[:len(dst)], i), j-i, lo, hi) })
	}
	t.Relu = func(dst, x []float32) {
		// max(x, 0), but -0 stays: it is not below 0.
		t.Clip(dst, x, 0, inf)
	}
	return []*Table{&t}
}

// pieces calls f for runs of n elements that take a routine some microseconds
// at most: the garbage collector waits for it.
func pieces(n int, f func(i, j int)) {
	const most = 8192
	for i := 0; i < n; i += most {
		f(i, min(i+most, n))
	}
}

func at(s []float32, i int) unsafe.Pointer { return unsafe.Pointer(&s[i]) }

func unary(f func(dst, x unsafe.Pointer, n int)) func(dst, x []float32) {
	return func(dst, x []float32) {
		x = x[:len(dst)]
		pieces(len(dst), func(i, j int) { f(at(dst, i), at(x, i), j-i) })
	}
}

func scalar(f func(dst, x unsafe.Pointer, n int, s float32)) func(dst, x []float32, s float32) {
	return func(dst, x []float32, s float32) {
		x = x[:len(dst)]
		pieces(len(dst), func(i, j int) { f(at(dst, i), at(x, i), j-i, s) })
	}
}

func binary(f func(dst, a, b unsafe.Pointer, n int)) func(dst, a, b []float32) {
	return func(dst, a, b []float32) {
		a, b = a[:len(dst)], b[:len(dst)]
		pieces(len(dst), func(i, j int) { f(at(dst, i), at(a, i), at(b, i), j-i) })
	}
}
