package tensor

import "fmt"

// DType is an ONNX element type. Its values equal TensorProto.DataType.
type DType int32

// The element types of ONNX.
const (
	Undefined      DType = 0
	Float32        DType = 1
	Uint8          DType = 2
	Int8           DType = 3
	Uint16         DType = 4
	Int16          DType = 5
	Int32          DType = 6
	Int64          DType = 7
	String         DType = 8
	Bool           DType = 9
	Float16        DType = 10
	Float64        DType = 11
	Uint32         DType = 12
	Uint64         DType = 13
	Complex64      DType = 14
	Complex128     DType = 15
	BFloat16       DType = 16
	Float8E4M3FN   DType = 17
	Float8E4M3FNUZ DType = 18
	Float8E5M2     DType = 19
	Float8E5M2FNUZ DType = 20
	Uint4          DType = 21
	Int4           DType = 22
	Float4E2M1     DType = 23
	Float8E8M0     DType = 24
	Uint2          DType = 25
	Int2           DType = 26
)

// NumDTypes is one more than the largest DType.
const NumDTypes = 27

type dtypeInfo struct {
	name string // as ONNX's type strings spell it: tensor(float) is "float"
	bits int    // storage per element; 0 for strings
}

var dtypes = [NumDTypes]dtypeInfo{
	Undefined: {"undefined", 0},
	Float32:   {"float32", 32}, Uint8: {"uint8", 8}, Int8: {"int8", 8}, Uint16: {"uint16", 16}, Int16: {"int16", 16},
	Int32: {"int32", 32}, Int64: {"int64", 64}, String: {"string", 0}, Bool: {"bool", 8}, Float16: {"float16", 16},
	Float64: {"float64", 64}, Uint32: {"uint32", 32}, Uint64: {"uint64", 64}, Complex64: {"complex64", 64},
	Complex128: {"complex128", 128}, BFloat16: {"bfloat16", 16}, Float8E4M3FN: {"float8e4m3fn", 8},
	Float8E4M3FNUZ: {"float8e4m3fnuz", 8}, Float8E5M2: {"float8e5m2", 8}, Float8E5M2FNUZ: {"float8e5m2fnuz", 8},
	Uint4: {"uint4", 4}, Int4: {"int4", 4}, Float4E2M1: {"float4e2m1", 4}, Float8E8M0: {"float8e8m0", 8},
	Uint2: {"uint2", 2}, Int2: {"int2", 2},
}

// Valid reports whether d is an element type that a tensor can have.
func (d DType) Valid() bool { return d > Undefined && d < NumDTypes }

// String returns the name that NumPy and ml_dtypes use, such as "float32".
func (d DType) String() string {
	if d < 0 || d >= NumDTypes {
		return fmt.Sprintf("DType(%d)", int32(d))
	}
	return dtypes[d].name
}

// Bits returns the storage of one element in bits: 2, 4, 8 … 128, and 0 for String.
func (d DType) Bits() int {
	if !d.Valid() {
		return 0
	}
	return dtypes[d].bits
}

// Size returns the bytes of one element, and 0 for String and the packed types of less than a byte.
func (d DType) Size() int { return d.Bits() / 8 }

// IsPacked reports whether several elements share a byte (int4, uint4, float4e2m1, int2, uint2).
func (d DType) IsPacked() bool { b := d.Bits(); return b > 0 && b < 8 }

// IsFloat reports whether d is a real floating-point type of any width.
func (d DType) IsFloat() bool {
	switch d {
	case Float32, Float64, Float16, BFloat16, Float8E4M3FN, Float8E4M3FNUZ, Float8E5M2, Float8E5M2FNUZ, Float8E8M0, Float4E2M1:
		return true
	}
	return false
}

// IsInt reports whether d is a signed or unsigned integer type of any width. Bool is not.
func (d DType) IsInt() bool { return d.IsSigned() || d.IsUnsigned() }

// IsSigned reports whether d is a signed integer type.
func (d DType) IsSigned() bool {
	switch d {
	case Int2, Int4, Int8, Int16, Int32, Int64:
		return true
	}
	return false
}

// IsUnsigned reports whether d is an unsigned integer type.
func (d DType) IsUnsigned() bool {
	switch d {
	case Uint2, Uint4, Uint8, Uint16, Uint32, Uint64:
		return true
	}
	return false
}

// IsComplex reports whether d is complex64 or complex128.
func (d DType) IsComplex() bool { return d == Complex64 || d == Complex128 }

// Storage types for the floats that Go lacks. They hold bits; Float32 and the
// …Of functions convert.
type (
	F16        uint16 // IEEE 754 binary16
	BF16       uint16 // upper half of a binary32
	F8E4M3FN   uint8
	F8E4M3FNUZ uint8
	F8E5M2     uint8
	F8E5M2FNUZ uint8
	F8E8M0     uint8 // a power of two: the scale of an MX block
)

// Element is the set of Go types that back tensors. The packed types of less
// than a byte have none: see Unpack and Pack.
type Element interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | bool | string |
		complex64 | complex128 | F16 | BF16 | F8E4M3FN | F8E4M3FNUZ | F8E5M2 | F8E5M2FNUZ | F8E8M0
}

// DTypeOf returns the DType that is stored as T.
func DTypeOf[T Element]() DType { return stored((*T)(nil)) }

// stored is DTypeOf of the type that p points to. It is not inlined: there are hundreds of calls.
//
//go:noinline
func stored(p any) DType {
	switch p.(type) {
	case *float32:
		return Float32
	case *float64:
		return Float64
	case *int8:
		return Int8
	case *int16:
		return Int16
	case *int32:
		return Int32
	case *int64:
		return Int64
	case *uint8:
		return Uint8
	case *uint16:
		return Uint16
	case *uint32:
		return Uint32
	case *uint64:
		return Uint64
	case *bool:
		return Bool
	case *string:
		return String
	case *complex64:
		return Complex64
	case *complex128:
		return Complex128
	case *F16:
		return Float16
	case *BF16:
		return BFloat16
	case *F8E4M3FN:
		return Float8E4M3FN
	case *F8E4M3FNUZ:
		return Float8E4M3FNUZ
	case *F8E5M2:
		return Float8E5M2
	case *F8E5M2FNUZ:
		return Float8E5M2FNUZ
	}
	return Float8E8M0
}
