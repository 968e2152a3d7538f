package ops

import (
	"encoding/binary"
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
	var m [4]uint64 // the masks of the four cases
	for i, v := range f {
		if v {
			m[i] = ones
		}
	}
	word := func(x, y uint64) uint64 {
		nx, ny := x^ones, y^ones
		return nx&ny&m[0] | nx&y&m[1] | x&ny&m[2] | x&y&m[3]
	}
	all := func(v bool) uint64 {
		if v {
			return ones
		}
		return 0
	}
	return pair[bool, bool, bool]{
		vv: func(d, a, b []bool) {
			bytes, x, y := bytesOf(d), bytesOf(a), bytesOf(b)
			for len(bytes) >= 8 {
				binary.LittleEndian.PutUint64(bytes, word(binary.LittleEndian.Uint64(x), binary.LittleEndian.Uint64(y)))
				bytes, x, y = bytes[8:], x[8:], y[8:]
			}
			for i := range bytes {
				bytes[i] = byte(word(uint64(x[i]), uint64(y[i])))
			}
		},
		vs: func(d, a []bool, b bool) {
			y := all(b)
			eightBools(d, a, word(0, y), word(ones, y))
		},
		sv: func(d []bool, a bool, b []bool) {
			x := all(a)
			eightBools(d, b, word(x, 0), word(x, ones))
		},
	}
}

// ones are eight bytes of 1, which are true.
const ones = 0x0101010101010101

func bytesOf(s []bool) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s))
}

// eightBools sets d to what no says where x is false and to what yes says where it is true, eight bytes
// of 0 or 1 each.
func eightBools(d, x []bool, no, yes uint64) {
	turn := no ^ yes
	bytes, from := bytesOf(d), bytesOf(x)
	for len(bytes) >= 8 {
		binary.LittleEndian.PutUint64(bytes, no^binary.LittleEndian.Uint64(from)&turn)
		bytes, from = bytes[8:], from[8:]
	}
	for i := range bytes {
		bytes[i] = byte(no) ^ from[i]&byte(turn)
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

func floorMod(x, y float64) float64 {
	m := math.Mod(x, y)
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
	if x > y || x != x {
		return x
	}
	return y
}

// smaller returns the smaller of x and y, NaN if one of them is.
func smaller[T number](x, y T) T {
	if x < y || x != x {
		return x
	}
	return y
}
