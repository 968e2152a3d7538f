package ops

import (
	"math"
	"unsafe"
)

//go:noinline
func bitAndPair[T integer]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, func(x, y T) T { return x & y }) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, func(x, y T) T { return x & y }) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, func(x, y T) T { return x & y }) },
	}
}

//go:noinline
func bitOrPair[T integer]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, func(x, y T) T { return x | y }) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, func(x, y T) T { return x | y }) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, func(x, y T) T { return x | y }) },
	}
}

//go:noinline
func bitXorPair[T integer]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, func(x, y T) T { return x ^ y }) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, func(x, y T) T { return x ^ y }) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, func(x, y T) T { return x ^ y }) },
	}
}

// A shift amount becomes a uint64, so that a negative one is a very large one:
// both leave what the sign alone gives.

//go:noinline
func shiftLeftPair[T integer]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, func(x, y T) T { return x << uint64(y) }) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, func(x, y T) T { return x << uint64(y) }) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, func(x, y T) T { return x << uint64(y) }) },
	}
}

//go:noinline
func shiftRightPair[T integer]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, func(x, y T) T { return x >> uint64(y) }) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, func(x, y T) T { return x >> uint64(y) }) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, func(x, y T) T { return x >> uint64(y) }) },
	}
}

// boolPair makes the loops of a function of two truth values from its values
// for (false, false), (false, true), (true, false), (true, true).
//
//go:noinline
func boolPair(f [4]bool) pair[bool, bool, bool] {
	all := func(v bool) uint64 {
		if v {
			return ones
		}
		return 0
	}
	w := boolWords{all(f[0]), all(f[0] != f[2]), all(f[0] != f[1]), all(f[0] != f[1] != f[2] != f[3])}
	return pair[bool, bool, bool]{
		vv: w.zip,
		vs: func(d, a []bool, b bool) {
			y := all(b)
			eightBools(d, a, w.of(0, y), w.of(ones, y))
		},
		sv: func(d []bool, a bool, b []bool) {
			x := all(a)
			eightBools(d, b, w.of(x, 0), w.of(x, ones))
		},
	}
}

// ones are eight bytes of 1, which are true.
const ones = 0x0101010101010101

func bytesOf(s []bool) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}

// boolWords is a function of eight pairs of truth values, as a polynomial: none ^ x&left ^ y&right ^ x&y&both.
type boolWords struct{ none, left, right, both uint64 }

func (f *boolWords) of(x, y uint64) uint64 {
	return f.none ^ x&f.left ^ y&f.right ^ x&y&f.both
}

func (f boolWords) zip(d, a, b []bool) {
	dst, x, y := bytesOf(d), bytesOf(a)[:len(d)], bytesOf(b)[:len(d)]
	none, left, right, both := f.none, f.left, f.right, f.both
	i := 0
	for ; i <= len(dst)-8; i += 8 {
		u, v := *wordAt(x, i), *wordAt(y, i)
		*wordAt(dst, i) = none ^ u&left ^ v&right ^ u&v&both
	}
	for ; i < len(dst); i++ {
		dst[i] = byte(f.of(uint64(x[i]), uint64(y[i])))
	}
}

// wordAt returns eight bytes of s, from i on, which must be there.
func wordAt(s []byte, i int) *uint64 {
	return (*uint64)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(s)), i))
}

// eightBools sets d to what no says where x is false and to what yes says where it is true, eight bytes
// of 0 or 1 each.
func eightBools(d, x []bool, no, yes uint64) {
	turn := no ^ yes
	dst, from := bytesOf(d), bytesOf(x)[:len(d)]
	i := 0
	for ; i <= len(dst)-8; i += 8 {
		*wordAt(dst, i) = no ^ *wordAt(from, i)&turn
	}
	for ; i < len(dst); i++ {
		dst[i] = byte(no) ^ from[i]&byte(turn)
	}
}

//go:noinline
func maxPair[T number]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, larger[T]) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, larger[T]) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, larger[T]) },
	}
}

//go:noinline
func minPair[T number]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, smaller[T]) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, smaller[T]) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, smaller[T]) },
	}
}

// floorModPair is the remainder that has the sign of the divisor.
func floorModPair[T integer]() pair[T, T, T] {
	return pairOf(func(x, y T) T {
		m := x % y
		if m != 0 && (m < 0) != (y < 0) {
			m += y
		}
		return m
	})
}

// truncModPair is the remainder that has the sign of the dividend.
func truncModPair[T integer]() pair[T, T, T] { return pairOf(func(x, y T) T { return x % y }) }

func floorMod(x, y float64) float64 { return toSignOf(y, math.Mod(x, y)) }

func floorMod32(x, y float64) float64 { return toSignOf(y, mod32(x, y)) }

// mod32 is math.Mod of numbers that float32 holds. Unless the quotient is large, it is so far from
// whole numbers that it is not, that its whole part is exact, and so is the product.
func mod32(x, y float64) float64 {
	if q := x / y; math.Abs(q) < 1<<24 {
		if m := x - float64(int64(q))*y; m == m { // y is finite
			return math.Copysign(m, x)
		}
	}
	return math.Mod(x, y)
}

// toSignOf makes of the remainder m that has the sign of the dividend the one that has the sign of the divisor y.
func toSignOf(y, m float64) float64 {
	switch {
	case m == 0:
		return math.Copysign(0, y)
	case (m < 0) != (y < 0):
		return m + y
	}
	return m
}

// throughFloat64 makes the loops of a function of float32 from one of float64.
func throughFloat64(f func(x, y float64) float64) pair[float32, float32, float32] {
	return pairOf(func(x, y float32) float32 { return float32(f(float64(x), float64(y))) })
}

// larger returns the larger of x and y, NaN if one of them is.
func larger[T number](x, y T) T {
	return max(x, y)
}

// smaller returns the smaller of x and y, NaN if one of them is.
func smaller[T number](x, y T) T {
	return min(x, y)
}
