package ops

import (
	"fmt"

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
func vectorPair(t *vec.Table, op vec.Op) pair[float32, float32, float32] {
	a := &t.Arith[op]
	return pair[float32, float32, float32]{vv: a.VV, vs: a.VS, sv: a.SV, rows: a}
}

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
