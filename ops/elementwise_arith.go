package ops

import (
	"fmt"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/tensor"
)

// The makers of loops must not be inlined: where they are, the compiler copies
// the function literals before it has inlined what they call.

//go:noinline
func addPair[T number]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, func(x, y T) T { return x + y }) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, func(x, y T) T { return x + y }) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, func(x, y T) T { return x + y }) },
	}
}

//go:noinline
func subPair[T number]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, func(x, y T) T { return x - y }) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, func(x, y T) T { return x - y }) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, func(x, y T) T { return x - y }) },
	}
}

//go:noinline
func mulPair[T number]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, func(x, y T) T { return x * y }) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, func(x, y T) T { return x * y }) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, func(x, y T) T { return x * y }) },
	}
}

//go:noinline
func divPair[T number]() pair[T, T, T] {
	return pair[T, T, T]{
		vv: func(d, a, b []T) { zipVV(d, a, b, func(x, y T) T { return x / y }) },
		vs: func(d, a []T, b T) { zipVS(d, a, b, func(x, y T) T { return x / y }) },
		sv: func(d []T, a T, b []T) { zipSV(d, a, b, func(x, y T) T { return x / y }) },
	}
}

// addFloat32, subFloat32, mulFloat32 and divFloat32 are the hot ones: they go
// through the table of the machine.

// vectorPair is the pair of an operator of package vec.
//
//go:noinline
func vectorPair(t *vec.Table, op vec.Op) pair[float32, float32, float32] {
	a := &t.Arith[op]
	return pair[float32, float32, float32]{vv: a.VV, vs: a.VS, sv: a.SV, rows: &vec.Rows{VV: float32Rows(a.RowsVV, true, true), VS: float32Rows(a.RowsVS, true, false), SV: float32Rows(a.RowsSV, false, true)}}
}

// float32Rows takes a loop over rows to places of numbers; va and vb say which operands have rows.
//
//go:noinline
func float32Rows(f func(dst, a, b []float32, n, rows, sa, sb int), va, vb bool) func(dst, a, b unsafe.Pointer, n, rows, sa, sb int) {
	reach := func(n, rows, stride int, vector bool) int {
		if !vector {
			n = 1
		}
		return (rows-1)*stride + n
	}
	return func(dst, a, b unsafe.Pointer, n, rows, sa, sb int) {
		sa, sb = sa/4, sb/4
		f(unsafe.Slice((*float32)(dst), n*rows), unsafe.Slice((*float32)(a), reach(n, rows, sa, va)), unsafe.Slice((*float32)(b), reach(n, rows, sb, vb)), n, rows, sa, sb)
	}
}

// withRows gives p the loops of rows, if there are any.
//
//go:noinline
func withRows[T, R tensor.Element](p pair[T, T, R], rows *vec.Rows) pair[T, T, R] {
	if rows.VV == nil {
		return p
	}
	p.rows = rows
	p.vv = func(d []R, a, b []T) { rows.VV(startOf(d), startOf(a), startOf(b), len(d), 1, 0, 0) }
	return p
}

func startOf[T any](s []T) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }

func addFloat32(t *vec.Table) pair[float32, float32, float32] {
	return vectorPair(t, vec.Add)
}

func subFloat32(t *vec.Table) pair[float32, float32, float32] {
	return vectorPair(t, vec.Sub)
}

func mulFloat32(t *vec.Table) pair[float32, float32, float32] {
	return vectorPair(t, vec.Mul)
}

func divFloat32(t *vec.Table) pair[float32, float32, float32] {
	return vectorPair(t, vec.Div)
}

// integerPairs is the table of kernels for the integer types.
func integerPairs(i8 Kernel, i16 Kernel, i32 Kernel, i64 Kernel, u8 Kernel, u16 Kernel, u32 Kernel, u64 Kernel) byType {
	return byType{
		tensor.Int8: i8, tensor.Int16: i16, tensor.Int32: i32, tensor.Int64: i64,
		tensor.Uint8: u8, tensor.Uint16: u16, tensor.Uint32: u32, tensor.Uint64: u64,
	}
}

// noZero is the check of integer division.
func noZero[T integer](_, b []T) error {
	for i, v := range b {
		if v == 0 {
			return fmt.Errorf("integer division by zero: B is 0 at element %d", i)
		}
	}
	return nil
}
