package ops

import "math"

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
	at := func(a, b bool) bool {
		i := 0
		if a {
			i = 2
		}
		if b {
			i++
		}
		return f[i]
	}
	vs := func(d, a []bool, b bool) {
		t := [2]bool{at(false, b), at(true, b)}
		for i, v := range a[:len(d)] {
			d[i] = t[0]
			if v {
				d[i] = t[1]
			}
		}
	}
	return pair[bool, bool, bool]{
		vv: func(d, a, b []bool) { zipVV(d, a, b, at) },
		vs: vs,
		sv: func(d []bool, a bool, b []bool) {
			t := [2]bool{at(a, false), at(a, true)}
			for i, v := range b[:len(d)] {
				d[i] = t[0]
				if v {
					d[i] = t[1]
				}
			}
		},
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
