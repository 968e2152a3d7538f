package tensor

import (
	"fmt"
	"math"
)

// At returns element i in row-major order as a plain Go value: float32 or
// float64 for every floating-point type, int64 for signed, uint64 for unsigned
// integers, bool, string, complex64 or complex128. It is for tools; kernels use Data.
func (t *Tensor) At(i int) any {
	if i < 0 || i >= t.n {
		panic(fmt.Sprintf("tensor: element %d of %d", i, t.n))
	}
	switch t.dtype {
	case String:
		return t.str[i]
	case Bool:
		return t.data[i] != 0
	case Float64:
		return Data[float64](t)[i]
	case Complex64:
		return Data[complex64](t)[i]
	case Complex128:
		return Data[complex128](t)[i]
	}
	switch {
	case t.dtype.IsFloat():
		var v [1]float32
		WidenTo(v[:], t, i)
		return v[0]
	case t.dtype.IsSigned():
		return t.signed(i)
	}
	return t.unsigned(i)
}

// signed returns element i of a signed integer tensor.
func (t *Tensor) signed(i int) int64 {
	switch t.dtype {
	case Int8:
		return int64(Data[int8](t)[i])
	case Int16:
		return int64(Data[int16](t)[i])
	case Int32:
		return int64(Data[int32](t)[i])
	case Int64:
		return Data[int64](t)[i]
	}
	bits := t.dtype.Bits()
	return int64(getPacked(t.data, i, bits)) << (64 - bits) >> (64 - bits)
}

// unsigned returns element i of an unsigned integer tensor.
func (t *Tensor) unsigned(i int) uint64 {
	switch t.dtype {
	case Uint8:
		return uint64(t.data[i])
	case Uint16:
		return uint64(Data[uint16](t)[i])
	case Uint32:
		return uint64(Data[uint32](t)[i])
	case Uint64:
		return Data[uint64](t)[i]
	}
	return uint64(getPacked(t.data, i, t.dtype.Bits()))
}

// Float64s returns the elements of a real number or bool tensor as float64;
// exact but for large 64-bit integers. Strings and complex numbers are an error.
func Float64s(t *Tensor) ([]float64, error) {
	out := make([]float64, t.n)
	switch d := t.dtype; {
	case d == Float64:
		copy(out, Data[float64](t))
	case d.IsFloat():
		var buf [256]float32
		for i := 0; i < t.n; i += len(buf) {
			b := buf[:min(len(buf), t.n-i)]
			WidenTo(b, t, i)
			for j, v := range b {
				out[i+j] = float64(v)
			}
		}
	case d.IsSigned():
		for i := range out {
			out[i] = float64(t.signed(i))
		}
	case d.IsUnsigned():
		for i := range out {
			out[i] = float64(t.unsigned(i))
		}
	case d == Bool:
		for i := range out {
			if t.data[i] != 0 {
				out[i] = 1
			}
		}
	default:
		return nil, fmt.Errorf("tensor: element type %v, want real numbers", d)
	}
	return out, nil
}

// Int64s returns the elements of an integer or bool tensor. An element that
// int64 cannot hold, and any other type, is an error.
func Int64s(t *Tensor) ([]int64, error) {
	out := make([]int64, t.n)
	switch d := t.dtype; {
	case d.IsSigned():
		for i := range out {
			out[i] = t.signed(i)
		}
	case d.IsUnsigned():
		for i := range out {
			v := t.unsigned(i)
			if v > math.MaxInt64 {
				return nil, fmt.Errorf("tensor: element %d is %d, want at most %d", i, v, int64(math.MaxInt64))
			}
			out[i] = int64(v)
		}
	case d == Bool:
		for i := range out {
			if t.data[i] != 0 {
				out[i] = 1
			}
		}
	default:
		return nil, fmt.Errorf("tensor: element type %v, want integers", d)
	}
	return out, nil
}
