// Package quant converts between floats and quantized bytes. Every instruction
// set gives the same bits.
package quant

import (
	"math"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// Byte is an element type of quantized tensors.
type Byte interface{ int8 | uint8 }

// table is one implementation of the routines for multiples of 32 elements.
type table struct {
	name                 string
	quantize, requantize func(dst, x unsafe.Pointer, n int, scale, lo, hi float32, zero int32)
	dequantU8, dequantS8 func(dst, x unsafe.Pointer, n int, scale float32, zero int32)
	bounds               func(x unsafe.Pointer, n int) (lo, hi float32)
	floats, integers     func(dst, x unsafe.Pointer, n int)
	requantizeEach       func(dst, x unsafe.Pointer, n int, scale unsafe.Pointer, lo, hi float32, zero int32)
	scaled               func(dst, x unsafe.Pointer, n int, scale, shift unsafe.Pointer)
	sum                  func(dst, x unsafe.Pointer, n int)
	lookup               func(dst, x unsafe.Pointer, n int, table unsafe.Pointer)
	binary               [2][2]binaryFunc // sums and products of unsigned and signed bytes
	step                 int              // of what binary takes multiples
}

type binaryFunc = func(dst, a, b unsafe.Pointer, n int, fa, fb, c float32, za, zb, lo, hi int32)

var tables = append([]*table{{name: cpu.Generic}}, archTables()...)

func best() *table {
	for i := len(tables) - 1; i > 0; i-- {
		if cpu.Has(tables[i].name) {
			return tables[i]
		}
	}
	return tables[0]
}

// piece returns how many of n elements a short call takes from the element at on: a multiple of 32.
func piece(n, at int) int { return min(1<<15, (n-at)&^31) }

// Quantize sets dst[i] to x[i]/scale rounded to the nearest integer, halves to
// even, plus zero, kept within [lo, hi], which D holds. NaN becomes lo.
func Quantize[D Byte](dst []D, x []float32, scale float32, zero, lo, hi int32) {
	x = x[:len(dst)]
	l, h := float32(lo-zero), float32(hi-zero)
	done := 0
	if t := best(); t.quantize != nil {
		for n := piece(len(dst), 0); n > 0; n = piece(len(dst), done) {
			t.quantize(unsafe.Pointer(&dst[done]), unsafe.Pointer(&x[done]), n, scale, l, h, zero)
			done += n
		}
	}
	dst = dst[done:]
	for i, v := range x[done:] {
		dst[i] = D(round(v/scale, l, h) + zero)
	}
}

// QuantizeEach is Quantize with a scale and a zero point (nil: 0) for each
// element.
func QuantizeEach[D Byte](dst []D, x, scale, zero []float32, lo, hi int32) {
	l, h := float32(lo), float32(hi)
	x, scale = x[:len(dst)], scale[:len(dst)]
	if zero == nil {
		for i, v := range x {
			dst[i] = D(round(v/scale[i], l, h))
		}
		return
	}
	zero = zero[:len(dst)]
	for i, v := range x {
		z := zero[i]
		dst[i] = D(round(v/scale[i], l-z, h-z) + int32(z))
	}
}

// Words is QuantizeEach for 16 bits; element i has scale and zero point i·step.
func Words[D int16 | uint16](dst []D, x, scale, zero []float32, step int, lo, hi int32) {
	x = x[:len(dst)]
	if step == 0 {
		s, z := scale[0], float32(0)
		if zero != nil {
			z = zero[0]
		}
		l, h, add := float32(lo)-z, float32(hi)-z, int32(z)
		for i, v := range x {
			dst[i] = D(round(v/s, l, h) + add)
		}
		return
	}
	for i, v := range x {
		z := float32(0)
		if zero != nil {
			z = zero[i*step]
		}
		dst[i] = D(round(v/scale[i*step], float32(lo)-z, float32(hi)-z) + int32(z))
	}
}

// Requantize sets dst[i] to x[i]·scale rounded to the nearest integer, halves to
// even, plus zero, kept within [lo, hi], of which D takes the low 8 bits. NaN
// becomes lo.
func Requantize[D Byte](dst []D, x []int32, scale float32, zero, lo, hi int32) {
	x = x[:len(dst)]
	l, h := float32(lo-zero), float32(hi-zero)
	done := 0
	if t := best(); t.requantize != nil {
		for n := piece(len(dst), 0); n > 0; n = piece(len(dst), done) {
			t.requantize(unsafe.Pointer(&dst[done]), unsafe.Pointer(&x[done]), n, scale, l, h, zero)
			done += n
		}
	}
	dst = dst[done:]
	for i, v := range x[done:] {
		dst[i] = D(round(float32(v)*scale, l, h) + zero)
	}
}

// RequantizeEach is Requantize with a scale for each element.
func RequantizeEach[D Byte](dst []D, x []int32, scale []float32, zero, lo, hi int32) {
	x, scale = x[:len(dst)], scale[:len(dst)]
	l, h := float32(lo-zero), float32(hi-zero)
	done := 0
	if t := best(); t.requantizeEach != nil {
		for n := piece(len(dst), 0); n > 0; n = piece(len(dst), done) {
			t.requantizeEach(unsafe.Pointer(&dst[done]), unsafe.Pointer(&x[done]), n, unsafe.Pointer(&scale[done]), l, h, zero)
			done += n
		}
	}
	dst, scale = dst[done:], scale[done:]
	for i, v := range x[done:] {
		dst[i] = D(round(float32(v)*scale[i], l, h) + zero)
	}
}

// Scaled sets dst[i] to x[i]·scale[i] + shift[i].
func Scaled(dst []float32, x []int32, scale, shift []float32) {
	x, scale, shift = x[:len(dst)], scale[:len(dst)], shift[:len(dst)]
	done := 0
	if t := best(); t.scaled != nil {
		for n := piece(len(dst), 0); n > 0; n = piece(len(dst), done) {
			t.scaled(unsafe.Pointer(&dst[done]), unsafe.Pointer(&x[done]), n, unsafe.Pointer(&scale[done]), unsafe.Pointer(&shift[done]))
			done += n
		}
	}
	dst, scale, shift = dst[done:], scale[done:], shift[done:]
	for i, v := range x[done:] {
		dst[i] = float32(float32(v)*scale[i]) + shift[i]
	}
}

// round returns the nearest integer to q within [lo, hi], whose size is below 2^22.
func round(q, lo, hi float32) int32 {
	const magic = 3 << 22 // adding it rounds a small float32 to an integer, halves to even
	if !(q > lo) {
		q = lo
	} else if q > hi {
		q = hi
	}
	return int32(math.Float32bits(float32(q)+magic)) - int32(math.Float32bits(magic))
}

// Dequantize sets dst[i] to (x[i] - zero)·scale.
func Dequantize[S Byte](dst []float32, x []S, scale float32, zero int32) {
	x = x[:len(dst)]
	t, done := best(), 0
	f := t.dequantU8
	if _, signed := any(x).([]int8); signed {
		f = t.dequantS8
	}
	if f != nil {
		for n := piece(len(dst), 0); n > 0; n = piece(len(dst), done) {
			f(unsafe.Pointer(&dst[done]), unsafe.Pointer(&x[done]), n, scale, zero)
			done += n
		}
	}
	dst = dst[done:]
	for i, v := range x[done:] {
		dst[i] = float32(int32(v)-zero) * scale
	}
}

// Bounds returns the least and greatest of 0 and the elements of x. NaN does
// not count.
func Bounds(x []float32) (lo, hi float32) {
	done := 0
	if t := best(); t.bounds != nil {
		for n := piece(len(x), 0); n > 0; n = piece(len(x), done) {
			l, h := t.bounds(unsafe.Pointer(&x[done]), n)
			lo, hi = min(lo, l), max(hi, h)
			done += n
		}
	}
	for _, v := range x[done:] {
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo, hi
}

// Floats sets dst[i] to x[i], rounded to the nearest.
func Floats(dst []float32, x []int32) {
	x = x[:len(dst)]
	done := 0
	if t := best(); t.floats != nil {
		for n := piece(len(dst), 0); n > 0; n = piece(len(dst), done) {
			t.floats(unsafe.Pointer(&dst[done]), unsafe.Pointer(&x[done]), n)
			done += n
		}
	}
	dst = dst[done:]
	for i, v := range x[done:] {
		dst[i] = float32(v)
	}
}

// Integers sets dst[i] to x[i] without its fraction, and to the least int32 if x[i] is NaN or out of range.
func Integers(dst []int32, x []float32) {
	x = x[:len(dst)]
	done := 0
	if t := best(); t.integers != nil {
		for n := piece(len(dst), 0); n > 0; n = piece(len(dst), done) {
			t.integers(unsafe.Pointer(&dst[done]), unsafe.Pointer(&x[done]), n)
			done += n
		}
	}
	dst = dst[done:]
	for i, v := range x[done:] {
		dst[i] = math.MinInt32
		if v >= math.MinInt32 && v < 1<<31 {
			dst[i] = int32(v)
		}
	}
}

// Lookup sets dst[i] to table[x[i]].
func Lookup(dst, x []byte, table *[256]byte) {
	x = x[:len(dst)]
	done := 0
	if t := best(); t.lookup != nil {
		for n := piece(len(dst), 0); n > 0; n = piece(len(dst), done) {
			t.lookup(unsafe.Pointer(&dst[done]), unsafe.Pointer(&x[done]), n, unsafe.Pointer(table))
			done += n
		}
	}
	dst = dst[done:]
	for i, v := range x[done:] {
		dst[i] = table[v]
	}
}
