//go:build !noasm

package vec

import (
	"math"
	"sync"
	"unsafe"
)

// typed256 sets the routines of t that go by the type of their operands.
func typed256(t *Table) {
	t.Exp64, t.Tanh64, t.Log64 = unary64(exp64256), unary64(tanh64256), normal64(log64256)
	t.Abs64, t.Neg64, t.Sqrt64, t.Floor64, t.Reciprocal64 = unary64(abs64256), unary64(neg64256), unary64(sqrt64256), unary64(floor64256), unary64(reciprocal64256)
	t.Float64[Add] = rowsOf(8, 8, add64VV256, add64VS256, add64SV256)
	t.Float64[Sub] = rowsOf(8, 8, sub64VV256, sub64VS256, sub64SV256)
	t.Float64[Mul] = rowsOf(8, 8, mul64VV256, mul64VS256, mul64SV256)
	t.Float64[Div] = rowsOf(8, 8, div64VV256, div64VS256, div64SV256)
	t.Float64[Max] = rowsOf(8, 8, max64VV256, max64VS256, max64SV256)
	t.Float64[Min] = rowsOf(8, 8, min64VV256, min64VS256, min64SV256)
	t.Int32[Add] = rowsOf(4, 4, addI32VV256, addI32VS256, exchanged(addI32VS256))
	t.Int32[Sub] = rowsOf(4, 4, subI32VV256, subI32VS256, subI32SV256)
	t.Int32[Mul] = rowsOf(4, 4, mulI32VV256, mulI32VS256, exchanged(mulI32VS256))
	t.Int32[Max] = rowsOf(4, 4, maxI32VV256, maxI32VS256, exchanged(maxI32VS256))
	t.Int32[Min] = rowsOf(4, 4, minI32VV256, minI32VS256, exchanged(minI32VS256))
	t.Int64[Add] = rowsOf(8, 8, addI64VV256, addI64VS256, exchanged(addI64VS256))
	t.Int64[Sub] = rowsOf(8, 8, subI64VV256, subI64VS256, subI64SV256)
	t.Less.Float32 = rowsOf(4, 1, ltF32VV256, ltF32VS256, exchanged(gtF32VS256))
	t.LessOrEqual.Float32 = rowsOf(4, 1, leF32VV256, leF32VS256, exchanged(geF32VS256))
	t.Equal.Float32 = rowsOf(4, 1, eqF32VV256, eqF32VS256, exchanged(eqF32VS256))
	t.Less.Float64 = rowsOf(8, 1, ltF64VV256, ltF64VS256, exchanged(gtF64VS256))
	t.LessOrEqual.Float64 = rowsOf(8, 1, leF64VV256, leF64VS256, exchanged(geF64VS256))
	t.Equal.Float64 = rowsOf(8, 1, eqF64VV256, eqF64VS256, exchanged(eqF64VS256))
	t.Less.Int32 = rowsOf(4, 1, ltI32VV256, ltI32VS256, exchanged(gtI32VS256))
	t.LessOrEqual.Int32 = rowsOf(4, 1, leI32VV256, leI32VS256, exchanged(geI32VS256))
	t.Equal.Int32 = rowsOf(4, 1, eqI32VV256, eqI32VS256, exchanged(eqI32VS256))
	t.Less.Int64 = rowsOf(8, 1, ltI64VV256, ltI64VS256, exchanged(gtI64VS256))
	t.LessOrEqual.Int64 = rowsOf(8, 1, leI64VV256, leI64VS256, exchanged(geI64VS256))
	t.Equal.Int64 = rowsOf(8, 1, eqI64VV256, eqI64VS256, exchanged(eqI64VS256))
}

// typed512 sets the routines of t that go by the type of their operands.
func typed512(t *Table) {
	t.Exp64, t.Tanh64, t.Log64 = unary64(exp64512), unary64(tanh64512), normal64(log64512)
	t.Abs64, t.Neg64, t.Sqrt64, t.Floor64, t.Reciprocal64 = unary64(abs64512), unary64(neg64512), unary64(sqrt64512), unary64(floor64512), unary64(reciprocal64512)
	t.Float64[Add] = rowsOf(8, 8, add64VV512, add64VS512, add64SV512)
	t.Float64[Sub] = rowsOf(8, 8, sub64VV512, sub64VS512, sub64SV512)
	t.Float64[Mul] = rowsOf(8, 8, mul64VV512, mul64VS512, mul64SV512)
	t.Float64[Div] = rowsOf(8, 8, div64VV512, div64VS512, div64SV512)
	t.Float64[Max] = rowsOf(8, 8, max64VV512, max64VS512, max64SV512)
	t.Float64[Min] = rowsOf(8, 8, min64VV512, min64VS512, min64SV512)
	t.Int32[Add] = rowsOf(4, 4, addI32VV512, addI32VS512, exchanged(addI32VS512))
	t.Int32[Sub] = rowsOf(4, 4, subI32VV512, subI32VS512, subI32SV512)
	t.Int32[Mul] = rowsOf(4, 4, mulI32VV512, mulI32VS512, exchanged(mulI32VS512))
	t.Int32[Max] = rowsOf(4, 4, maxI32VV512, maxI32VS512, exchanged(maxI32VS512))
	t.Int32[Min] = rowsOf(4, 4, minI32VV512, minI32VS512, exchanged(minI32VS512))
	t.Int64[Add] = rowsOf(8, 8, addI64VV512, addI64VS512, exchanged(addI64VS512))
	t.Int64[Sub] = rowsOf(8, 8, subI64VV512, subI64VS512, subI64SV512)
	t.Less.Float32 = rowsOf(4, 1, ltF32VV512, ltF32VS512, exchanged(gtF32VS512))
	t.LessOrEqual.Float32 = rowsOf(4, 1, leF32VV512, leF32VS512, exchanged(geF32VS512))
	t.Equal.Float32 = rowsOf(4, 1, eqF32VV512, eqF32VS512, exchanged(eqF32VS512))
	t.Less.Float64 = rowsOf(8, 1, ltF64VV512, ltF64VS512, exchanged(gtF64VS512))
	t.LessOrEqual.Float64 = rowsOf(8, 1, leF64VV512, leF64VS512, exchanged(geF64VS512))
	t.Equal.Float64 = rowsOf(8, 1, eqF64VV512, eqF64VS512, exchanged(eqF64VS512))
	t.Less.Int32 = rowsOf(4, 1, ltI32VV512, ltI32VS512, exchanged(gtI32VS512))
	t.LessOrEqual.Int32 = rowsOf(4, 1, leI32VV512, leI32VS512, exchanged(geI32VS512))
	t.Equal.Int32 = rowsOf(4, 1, eqI32VV512, eqI32VS512, exchanged(eqI32VS512))
	t.Less.Int64 = rowsOf(8, 1, ltI64VV512, ltI64VS512, exchanged(gtI64VS512))
	t.LessOrEqual.Int64 = rowsOf(8, 1, leI64VV512, leI64VS512, exchanged(geI64VS512))
	t.Equal.Int64 = rowsOf(8, 1, eqI64VV512, eqI64VS512, exchanged(eqI64VS512))
}

//go:noinline
func unary64(f func(dst, x unsafe.Pointer, n int)) func(dst, x []float64) {
	return func(dst, x []float64) {
		x = x[:len(dst)]
		for len(dst) > most {
			f(unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(x)), most)
			dst, x = dst[most:], x[most:]
		}
		f(unsafe.Pointer(unsafe.SliceData(dst)), unsafe.Pointer(unsafe.SliceData(x)), len(dst))
	}
}

// normal64 makes Log64 of a routine for positive normal numbers.
//
//go:noinline
func normal64(f func(dst, x unsafe.Pointer, n int)) func(dst, x []float64) {
	return func(dst, x []float64) {
		buf, ok := logPool.Get().(*logBuffer)
		if !ok {
			buf = &logBuffer{}
		}
		defer logPool.Put(buf)
		for x = x[:len(dst)]; len(dst) > 0; {
			n := min(len(buf), len(dst))
			f(unsafe.Pointer(buf), unsafe.Pointer(&x[0]), n)
			d, v, logs := dst[:n], x[:n], buf[:n]
			for i, l := range logs {
				const least = 1 << 52 // of the bits of a normal number
				if math.Float64bits(v[i])-least >= 0x7ff<<52-least {
					l = math.Log(v[i])
				}
				d[i] = l
			}
			dst, x = dst[n:], x[n:]
		}
	}
}

// logBuffer is what normal64 keeps x from, which dst may be. The routines take its address, so it is no
// variable of a stack.
type logBuffer [256]float64

var logPool sync.Pool // of *logBuffer

// rowsOf makes the forms of an operator of routines: operands have size bytes, results as many as result
// says. A copy of its functions for each operator would be large.
//
//go:noinline
func rowsOf(size, result int, vv, vs, sv rowsFunc) Rows {
	return Rows{pieces(vv, size, size, result), pieces(vs, size, 0, result), pieces(sv, 0, size, result)}
}

// pieces calls f for pieces of the rows. Operands whose size is 0 have one element for each row.
//
//go:noinline
func pieces(f rowsFunc, sizeA, sizeB, result int) rowsFunc {
	return func(dst, a, b unsafe.Pointer, n, rows, sa, sb int) {
		if n == 0 {
			return
		}
		if n > most {
			for r := range rows {
				for i := 0; i < n; i += most {
					f(unsafe.Add(dst, (r*n+i)*result), unsafe.Add(a, r*sa+i*sizeA), unsafe.Add(b, r*sb+i*sizeB), min(most, n-i), 1, 0, 0)
				}
			}
			return
		}
		per := most / n
		for r := 0; r < rows; r += per {
			f(unsafe.Add(dst, r*n*result), unsafe.Add(a, r*sa), unsafe.Add(b, r*sb), n, min(per, rows-r), sa, sb)
		}
	}
}

// exchanged takes a for b.
//
//go:noinline
func exchanged(f rowsFunc) rowsFunc {
	return func(dst, a, b unsafe.Pointer, n, rows, sa, sb int) { f(dst, b, a, n, rows, sb, sa) }
}
