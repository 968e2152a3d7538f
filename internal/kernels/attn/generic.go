package attn

import (
	"math"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
)

// table is one implementation of the routines that rows of scores need. All
// pointers but keep are to float32. Strides are in bytes.
type table struct {
	name string
	// largest returns the greatest of n floats, expSum replaces them by
	// e^(s-m) and returns their sum. n is a multiple of 16, at least 16.
	largest func(s unsafe.Pointer, n int) float32
	expSum  func(s unsafe.Pointer, n int, m float32) float32
	// addLargest adds to s, keepLargest sets it to -Inf where the byte of keep
	// is 0; both return the greatest of what results. -Inf added is -Inf
	// whatever s was.
	addLargest, keepLargest func(s, x unsafe.Pointer, n int) float32
	// scale sets dst = src·f; dst may be src.
	scale func(dst, src unsafe.Pointer, n int, f float32)
	// dots sets s[j] = Σ q[i]·k[j·ldk+i], i < d, j < n.
	dots func(q unsafe.Pointer, d int, k unsafe.Pointer, ldk, n int, s unsafe.Pointer)
	// weigh adds to y[i] Σ p[j]·v[j·ldv+i], i < w, j < n; n >= 1.
	weigh func(p unsafe.Pointer, n int, v unsafe.Pointer, ldv int, y unsafe.Pointer, w int)
	// transpose writes the rows of a side x side block as columns. Nil: none.
	transpose func(dst unsafe.Pointer, ldd int, src unsafe.Pointer, lds int)
	side      int
	// rotate sets dst[i] = c[i]·src[i] - s[i]·src[half+i] and dst[half+i] =
	// s[i]·src[i] + c[i]·src[half+i], i < n, rotatePairs the same for n elements
	// that are neighbours in pairs. half is in bytes; dst may be src.
	rotate      func(dst, src unsafe.Pointer, half int, c, s unsafe.Pointer, n int)
	rotatePairs func(dst, src, c, s unsafe.Pointer, n int)
}

var tables = append([]*table{{
	name: cpu.Generic, largest: largestGo, expSum: expSumGo, addLargest: addLargestGo, keepLargest: keepLargestGo,
	scale: scaleGo, dots: dotsGo, weigh: weighGo,
	rotate: rotateGo, rotatePairs: rotatePairsGo,
}}, archTables()...)

// best returns the fastest table that may be used (see package cpu).
func best() *table {
	for i := len(tables) - 1; i > 0; i-- {
		if cpu.Has(tables[i].name) {
			return tables[i]
		}
	}
	return tables[0]
}

var negInf = float32(math.Inf(-1))

func floats(p unsafe.Pointer, n int) []float32 { return unsafe.Slice((*float32)(p), n) }

func largestGo(s unsafe.Pointer, n int) float32 {
	m := negInf
	for _, v := range floats(s, n) {
		if v > m {
			m = v
		}
	}
	return m
}

func expSumGo(s unsafe.Pointer, n int, m float32) float32 {
	sum := 0.0
	f := floats(s, n)
	for i, v := range f {
		f[i] = float32(math.Exp(float64(v - m)))
		sum += float64(f[i])
	}
	return float32(sum)
}

func addLargestGo(s, add unsafe.Pointer, n int) float32 {
	f, m := floats(s, n), negInf
	for i, v := range floats(add, n) {
		if v += f[i]; floats(add, n)[i] == negInf {
			v = negInf
		}
		if f[i] = v; v > m {
			m = v
		}
	}
	return m
}

func keepLargestGo(s, keep unsafe.Pointer, n int) float32 {
	f, m := floats(s, n), negInf
	for i, k := range unsafe.Slice((*byte)(keep), n) {
		if k == 0 {
			f[i] = negInf
		} else if f[i] > m {
			m = f[i]
		}
	}
	return m
}

func scaleGo(dst, src unsafe.Pointer, n int, f float32) {
	d := floats(dst, n)
	for i, v := range floats(src, n) {
		d[i] = v * f
	}
}

func dotsGo(q unsafe.Pointer, d int, k unsafe.Pointer, ldk, n int, s unsafe.Pointer) {
	x := floats(q, d)
	for j := range floats(s, n) {
		sum := float32(0)
		y := floats(unsafe.Add(k, j*ldk), d)
		for i, v := range x {
			sum += v * y[i]
		}
		floats(s, n)[j] = sum
	}
}

func weighGo(p unsafe.Pointer, n int, v unsafe.Pointer, ldv int, y unsafe.Pointer, w int) {
	sum := floats(y, w)
	for j, f := range floats(p, n) {
		for i, x := range floats(unsafe.Add(v, j*ldv), w) {
			sum[i] += f * x
		}
	}
}

func rotateGo(dst, src unsafe.Pointer, half int, c, s unsafe.Pointer, n int) {
	if n == 0 {
		return
	}
	x1, x2 := floats(src, n), floats(unsafe.Add(src, half), n)
	y1, y2 := floats(dst, n), floats(unsafe.Add(dst, half), n)
	sin := floats(s, n)
	for i, cos := range floats(c, n) {
		a, b := x1[i], x2[i]
		y1[i], y2[i] = cos*a-sin[i]*b, sin[i]*a+cos*b
	}
}

func rotatePairsGo(dst, src, c, s unsafe.Pointer, n int) {
	x, y, sin := floats(src, n), floats(dst, n), floats(s, n/2)
	for i, cos := range floats(c, n/2) {
		a, b := x[2*i], x[2*i+1]
		y[2*i], y[2*i+1] = cos*a-sin[i]*b, sin[i]*a+cos*b
	}
}
