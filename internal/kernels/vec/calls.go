//go:build !noasm && (amd64 || arm64)

package vec

import "unsafe"

// What takes slices to the routines of assembly. The makers must not be inlined: each use would have a
// copy of the function literal.

// most is the number of elements of one call of a routine, some microseconds:
// the garbage collector waits for it.
const most = 8192

func at(s []float32) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }

//go:noinline
func unary(f func(dst, x unsafe.Pointer, n int)) func(dst, x []float32) {
	return func(dst, x []float32) {
		x = x[:len(dst)]
		for len(dst) > most {
			f(at(dst), at(x), most)
			dst, x = dst[most:], x[most:]
		}
		f(at(dst), at(x), len(dst))
	}
}

//go:noinline
func unary1(f func(dst, x unsafe.Pointer, n int, p float32)) func(dst, x []float32, p float32) {
	return func(dst, x []float32, p float32) {
		x = x[:len(dst)]
		for len(dst) > most {
			f(at(dst), at(x), most, p)
			dst, x = dst[most:], x[most:]
		}
		f(at(dst), at(x), len(dst), p)
	}
}

//go:noinline
func unary2(f func(dst, x unsafe.Pointer, n int, p, q float32)) func(dst, x []float32, p, q float32) {
	return func(dst, x []float32, p, q float32) {
		x = x[:len(dst)]
		for len(dst) > most {
			f(at(dst), at(x), most, p, q)
			dst, x = dst[most:], x[most:]
		}
		f(at(dst), at(x), len(dst), p, q)
	}
}

//go:noinline
func swish(f func(dst, x []float32, alpha float32)) func(dst, x []float32, alpha float32) {
	return func(dst, x []float32, alpha float32) {
		if alpha > 0 {
			f(dst, x, alpha)
			return
		}
		swishLoop(dst, x, alpha)
	}
}

// byRows calls f for pieces of the rows; va and vb say which operands are vectors.
func byRows(f rowsFunc, dst, a, b []float32, n, rows, sa, sb int, va, vb bool) {
	if n == 0 || rows == 0 {
		return
	}
	last := func(vector bool) int {
		if vector {
			return n
		}
		return 1
	}
	dst, a, b = dst[:rows*n], a[:(rows-1)*sa+last(va)], b[:(rows-1)*sb+last(vb)]
	if n <= most {
		per := most / n
		for r := 0; r < rows; r += per {
			f(at(dst[r*n:]), at(a[r*sa:]), at(b[r*sb:]), n, min(per, rows-r), sa*4, sb*4)
		}
		return
	}
	for r := range rows {
		for i := 0; i < n; i += most {
			ia, ib := r*sa, r*sb
			if va {
				ia += i
			}
			if vb {
				ib += i
			}
			f(at(dst[r*n+i:]), at(a[ia:]), at(b[ib:]), min(most, n-i), 1, 0, 0)
		}
	}
}

//go:noinline
func rowsVV(f rowsFunc) func(dst, a, b []float32, n, rows, sa, sb int) {
	return func(dst, a, b []float32, n, rows, sa, sb int) { byRows(f, dst, a, b, n, rows, sa, sb, true, true) }
}

//go:noinline
func rowsVS(f rowsFunc) func(dst, a, b []float32, n, rows, sa, sb int) {
	return func(dst, a, b []float32, n, rows, sa, sb int) { byRows(f, dst, a, b, n, rows, sa, sb, true, false) }
}

//go:noinline
func rowsSV(f rowsFunc) func(dst, a, b []float32, n, rows, sa, sb int) {
	return func(dst, a, b []float32, n, rows, sa, sb int) { byRows(f, dst, a, b, n, rows, sa, sb, false, true) }
}

// flip makes SV of an operator whose operands may change places from VS.
//
//go:noinline
func flip(f rowsFunc) func(dst, a, b []float32, n, rows, sa, sb int) {
	return func(dst, a, b []float32, n, rows, sa, sb int) { byRows(f, dst, b, a, n, rows, sb, sa, true, false) }
}

// flat sets the fields of t that are also in Arith.
func flat(t *Table) {
	t.Add, t.Sub, t.Mul, t.Div = t.Arith[Add].VV, t.Arith[Sub].VV, t.Arith[Mul].VV, t.Arith[Div].VV
	t.AddScalar, t.MulScalar = t.Arith[Add].VS, t.Arith[Mul].VS
	t.Relu = func(dst, x []float32) { t.Clip(dst, x, 0, inf) } // -0 stays: it is not below 0
}

//go:noinline
func binary(f rowsFunc) func(dst, a, b []float32) {
	return func(dst, a, b []float32) {
		a, b = a[:len(dst)], b[:len(dst)]
		for len(dst) > most {
			f(at(dst), at(a), at(b), most, 1, 0, 0)
			dst, a, b = dst[most:], a[most:], b[most:]
		}
		f(at(dst), at(a), at(b), len(dst), 1, 0, 0)
	}
}

//go:noinline
func swap(f func(dst, x []float32, s float32)) func(dst []float32, s float32, x []float32) {
	return func(dst []float32, s float32, x []float32) { f(dst, x, s) }
}

//go:noinline
func negated(f func(dst, x []float32, s float32)) func(dst, x []float32, s float32) {
	return func(dst, x []float32, s float32) { f(dst, x, -s) }
}

// keepNaN makes a NaN of s the result: f drops it.
//
//go:noinline
func keepNaN(f func(dst, x []float32, s float32)) func(dst, x []float32, s float32) {
	return func(dst, x []float32, s float32) {
		if s != s {
			for i := range dst {
				dst[i] = s
			}
			return
		}
		f(dst, x, s)
	}
}

// What overflows or vanishes in float32 is summed once more in float64.
//
//go:noinline
func sumOf(f func(x unsafe.Pointer, n int) float32, exact func(x []float32) float64) func(x []float32) float64 {
	return func(all []float32) float64 {
		s, x := 0.0, all
		for len(x) > sumPiece {
			s += float64(f(at(x), sumPiece))
			x = x[sumPiece:]
		}
		s += float64(f(at(x), len(x)))
		if s-s != 0 {
			return exact(all)
		}
		return s
	}
}

//go:noinline
func sumSquaresOf(f func(x unsafe.Pointer, n int, m float32) float32) func(x []float32, m float32) float64 {
	return func(all []float32, m float32) float64 {
		s, x := 0.0, all
		for len(x) > sumPiece {
			s += float64(f(at(x), sumPiece, m))
			x = x[sumPiece:]
		}
		s += float64(f(at(x), len(x), m))
		if s-s != 0 || s < 1e-30 {
			return sumSquares(all, m)
		}
		return s
	}
}

//go:noinline
func expSumOf(f func(dst, x unsafe.Pointer, n int, scale, shift float32) float32) func(dst, x []float32, scale, shift float32) float64 {
	return func(dst, x []float32, scale, shift float32) float64 {
		x = x[:len(dst)]
		s := 0.0
		for len(dst) > sumPiece {
			s += float64(f(at(dst), at(x), sumPiece, scale, shift))
			dst, x = dst[sumPiece:], x[sumPiece:]
		}
		return s + float64(f(at(dst), at(x), len(dst), scale, shift))
	}
}

//go:noinline
func extreme(f func(x unsafe.Pointer, n int) float32, none float32) func(x []float32) float32 {
	return func(x []float32) float32 {
		m := none
		for len(x) > 0 {
			n := min(len(x), most)
			v := f(at(x), n)
			switch {
			case v != v:
				return v
			case none < 0:
				m = max(m, v)
			default:
				m = min(m, v)
			}
			x = x[n:]
		}
		return m
	}
}

//go:noinline
func normalizeOf(plain func(y, x unsafe.Pointer, n int, mean, inv float32), scaled func(y, x unsafe.Pointer, n int, mean, inv float32, scale unsafe.Pointer),
	biased func(y, x unsafe.Pointer, n int, mean, inv float32, scale, bias unsafe.Pointer)) func(dst, x []float32, mean, inv float32, scale, bias []float32) {
	return func(dst, x []float32, mean, inv float32, scale, bias []float32) {
		if scale == nil && bias != nil {
			normalize(dst, x, mean, inv, scale, bias)
			return
		}
		x = x[:len(dst)]
		for i := 0; i < len(dst); i += most {
			d, s := dst[i:min(i+most, len(dst))], x[i:]
			switch {
			case scale == nil:
				plain(at(d), at(s), len(d), mean, inv)
			case bias == nil:
				scaled(at(d), at(s), len(d), mean, inv, at(scale[i:i+len(d)]))
			default:
				biased(at(d), at(s), len(d), mean, inv, at(scale[i:i+len(d)]), at(bias[i:i+len(d)]))
			}
		}
	}
}

//go:noinline
func columnsOf(f func(acc, x unsafe.Pointer, n, rows, stride int)) func(acc, x []float32, rows, stride int) {
	return func(acc, x []float32, rows, stride int) {
		if rows <= 0 || len(acc) == 0 {
			return
		}
		x = x[:(rows-1)*stride+len(acc)]
		for i := 0; i < len(acc); i += most {
			n := min(most, len(acc)-i)
			per := max(1, 4*most/n)
			for r := 0; r < rows; r += per {
				f(at(acc[i:]), at(x[r*stride+i:]), n, min(per, rows-r), stride*4)
			}
		}
	}
}

//go:noinline
func argColumnsOf(f func(at, best, x unsafe.Pointer, n, rows, stride, first int)) argColumns {
	return func(to []int32, best, x []float32, rows, stride, first int) {
		if rows <= 0 || len(best) == 0 {
			return
		}
		x, to = x[:(rows-1)*stride+len(best)], to[:len(best)]
		for i := 0; i < len(best); i += most {
			n := min(most, len(best)-i)
			per := max(1, 4*most/n)
			for r := 0; r < rows; r += per {
				f(unsafe.Pointer(&to[i]), at(best[i:]), at(x[r*stride+i:]), n, min(per, rows-r), stride*4, first+r)
			}
		}
	}
}

//go:noinline
func squaresOf(f func(acc, x, v unsafe.Pointer, n, rows, stride int)) func(acc, x, v []float32, stride int) {
	return func(acc, x, v []float32, stride int) {
		if len(v) == 0 || len(acc) == 0 {
			return
		}
		x = x[:(len(v)-1)*stride+len(acc)]
		for i := 0; i < len(acc); i += most {
			n := min(most, len(acc)-i)
			per := max(1, 4*most/n)
			for r := 0; r < len(v); r += per {
				f(at(acc[i:]), at(x[r*stride+i:]), at(v[r:]), n, min(per, len(v)-r), stride*4)
			}
		}
	}
}
