package ops

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// castRules are what the attributes of Cast say about float8.
type castRules struct {
	saturate bool
	mode     tensor.RoundMode
}

// convertTensor writes the elements of src, converted, to dst, a tensor of the
// same shape and another element type.
//
// Floats become integers by cutting off the fraction. What is out of range
// becomes what the conversion of x86 gives: the least int32 for types of up to
// 32 bits but uint32, the least int64 for the others, of which the low bits
// are kept. Integers that do not fit lose their upper bits.
func convertTensor(c *Call, dst, src *tensor.Tensor, r castRules) error {
	from, to := src.DType(), dst.DType()
	switch {
	case from.IsComplex() || to.IsComplex():
		return fmt.Errorf("%w: conversion of %v to %v", ErrUnsupported, from, to)
	case from == to:
		return dst.CopyFrom(src)
	case from == tensor.String:
		return parseStrings(dst, tensor.Data[string](src), r)
	case to == tensor.String:
		formatStrings(tensor.Data[string](dst), src)
		return nil
	case from == tensor.Float32 && (to == tensor.Float16 || to == tensor.BFloat16):
		narrowCast(c, dst, src)
		return nil
	case to == tensor.Float32 && (from == tensor.Float16 || from == tensor.BFloat16):
		widenCast(c, dst, src)
		return nil
	}
	if f := directCasts[[2]tensor.DType{from, to}]; f != nil {
		c.castDirectly(f, dst, src)
		return nil
	}
	par.Each(c.P, src.Len(), grain, castRun{dst, src, r}, (*castRun).run)
	return nil
}

// castRun converts by way of numbers of 64 bits.
type castRun struct {
	dst, src *tensor.Tensor
	rules    castRules
}

type castBlock struct {
	floats [block]float64
	ints   [block]int64
}

func (r *castRun) run(lo, hi int) {
	mem, pool := borrow[castBlock]()
	defer pool.Put(mem)
	from := r.src.DType()
	for ; lo < hi; lo += block {
		n := min(block, hi-lo)
		switch {
		case from == tensor.Uint64:
			storeUints(r.dst, lo, tensor.Data[uint64](r.src)[lo:lo+n], r.rules)
		case from.IsFloat():
			loadFloats(mem.floats[:n], r.src, lo)
			storeFloats(r.dst, lo, mem.floats[:n], r.rules)
		default:
			loadInts(mem.ints[:n], r.src, lo)
			storeInts(r.dst, lo, mem.ints[:n], r.rules)
		}
	}
}

// cutOff32 returns x without its fraction; the least int32 if x is NaN or out of range.
func cutOff32(x float64) int32 {
	if x > -1<<31-1 && x < 1<<31 {
		return int32(x)
	}
	return math.MinInt32
}

func cutOffUint64(x float64) uint64 {
	if x >= 1<<63 && x < 1<<64 {
		return uint64(x)
	}
	return uint64(cutOff(x))
}

// loadFloats reads elements lo, lo+1, … of a tensor of any float type, exactly.
func loadFloats(dst []float64, t *tensor.Tensor, lo int) {
	if t.DType() == tensor.Float64 {
		copy(dst, tensor.Data[float64](t)[lo:])
		return
	}
	var buf [block]float32
	for len(dst) > 0 {
		b := buf[:min(block, len(dst))]
		tensor.WidenTo(b, t, lo)
		for i, v := range b {
			dst[i] = float64(v)
		}
		dst, lo = dst[len(b):], lo+len(b)
	}
}

func widenInts[T integer](dst []int64, src []T) {
	for i, v := range src[:len(dst)] {
		dst[i] = int64(v)
	}
}

// loadInts reads elements lo, lo+1, … of a tensor of integers or truth values.
func loadInts(dst []int64, t *tensor.Tensor, lo int) {
	switch d := t.DType(); d {
	case tensor.Int8:
		widenInts(dst, tensor.Data[int8](t)[lo:])
	case tensor.Int16:
		widenInts(dst, tensor.Data[int16](t)[lo:])
	case tensor.Int32:
		widenInts(dst, tensor.Data[int32](t)[lo:])
	case tensor.Int64:
		widenInts(dst, tensor.Data[int64](t)[lo:])
	case tensor.Uint8:
		widenInts(dst, tensor.Data[uint8](t)[lo:])
	case tensor.Uint16:
		widenInts(dst, tensor.Data[uint16](t)[lo:])
	case tensor.Uint32:
		widenInts(dst, tensor.Data[uint32](t)[lo:])
	case tensor.Uint64:
		widenInts(dst, tensor.Data[uint64](t)[lo:])
	case tensor.Bool:
		for i, v := range tensor.Data[bool](t)[lo : lo+len(dst)] {
			dst[i] = 0
			if v {
				dst[i] = 1
			}
		}
	default: // packed
		shift := 0
		if d.IsSigned() {
			shift = 64 - d.Bits()
		}
		for i := range dst {
			dst[i] = int64(t.PackedCode(lo+i)) << shift >> shift
		}
	}
}

func storeAs[S, D any](dst []D, src []S, f func(S) D) {
	dst = dst[:len(src)]
	for i, v := range src {
		dst[i] = f(v)
	}
}

func castInts[D integer | float](dst []D, src []int64) {
	for i, v := range src {
		dst[i] = D(v)
	}
}

// storeInts writes elements lo, lo+1, … of a tensor of any type but string.
func storeInts(t *tensor.Tensor, lo int, src []int64, r castRules) {
	switch t.DType() {
	case tensor.Int8:
		castInts(tensor.Data[int8](t)[lo:], src)
	case tensor.Int16:
		castInts(tensor.Data[int16](t)[lo:], src)
	case tensor.Int32:
		castInts(tensor.Data[int32](t)[lo:], src)
	case tensor.Int64:
		castInts(tensor.Data[int64](t)[lo:], src)
	case tensor.Uint8:
		castInts(tensor.Data[uint8](t)[lo:], src)
	case tensor.Uint16:
		castInts(tensor.Data[uint16](t)[lo:], src)
	case tensor.Uint32:
		castInts(tensor.Data[uint32](t)[lo:], src)
	case tensor.Uint64:
		castInts(tensor.Data[uint64](t)[lo:], src)
	case tensor.Float32:
		castInts(tensor.Data[float32](t)[lo:], src)
	case tensor.Float64:
		castInts(tensor.Data[float64](t)[lo:], src)
	case tensor.Bool:
		storeAs(tensor.Data[bool](t)[lo:], src, func(v int64) bool { return v != 0 })
	case tensor.Int4, tensor.Uint4, tensor.Int2, tensor.Uint2:
		for i, v := range src {
			t.SetPackedCode(lo+i, uint8(v))
		}
	default: // the small floats: any rounding of a 64-bit integer is far beyond their digits
		storeConverted(t, lo, src, func(v int64) float64 { return float64(v) }, r)
	}
}

func storeUints(t *tensor.Tensor, lo int, src []uint64, r castRules) {
	switch t.DType() {
	case tensor.Float32:
		storeAs(tensor.Data[float32](t)[lo:], src, func(v uint64) float32 { return float32(v) })
	case tensor.Float64:
		storeAs(tensor.Data[float64](t)[lo:], src, func(v uint64) float64 { return float64(v) })
	case tensor.Float16, tensor.BFloat16, tensor.Float8E4M3FN, tensor.Float8E4M3FNUZ, tensor.Float8E5M2, tensor.Float8E5M2FNUZ,
		tensor.Float8E8M0, tensor.Float4E2M1:
		storeConverted(t, lo, src, func(v uint64) float64 { return float64(v) }, r)
	default:
		storeInts(t, lo, unsafe.Slice((*int64)(unsafe.Pointer(unsafe.SliceData(src))), len(src)), r)
	}
}

func storeConverted[S any](t *tensor.Tensor, lo int, src []S, f func(S) float64, r castRules) {
	mem, pool := borrow[[block]float64]()
	defer pool.Put(mem)
	for len(src) > 0 {
		b := mem[:min(block, len(src))]
		storeAs(b, src[:len(b)], f)
		storeFloats(t, lo, b, r)
		src, lo = src[len(b):], lo+len(b)
	}
}

// storeFloats writes elements lo, lo+1, … of a tensor of any type but string.
func storeFloats(t *tensor.Tensor, lo int, src []float64, r castRules) {
	switch t.DType() {
	case tensor.Int8:
		storeAs(tensor.Data[int8](t)[lo:], src, func(v float64) int8 { return int8(cutOff32(v)) })
	case tensor.Int16:
		storeAs(tensor.Data[int16](t)[lo:], src, func(v float64) int16 { return int16(cutOff32(v)) })
	case tensor.Int32:
		storeAs(tensor.Data[int32](t)[lo:], src, cutOff32)
	case tensor.Int64:
		storeAs(tensor.Data[int64](t)[lo:], src, cutOff)
	case tensor.Uint8:
		storeAs(tensor.Data[uint8](t)[lo:], src, func(v float64) uint8 { return uint8(cutOff32(v)) })
	case tensor.Uint16:
		storeAs(tensor.Data[uint16](t)[lo:], src, func(v float64) uint16 { return uint16(cutOff32(v)) })
	case tensor.Uint32:
		storeAs(tensor.Data[uint32](t)[lo:], src, func(v float64) uint32 { return uint32(cutOff(v)) })
	case tensor.Uint64:
		storeAs(tensor.Data[uint64](t)[lo:], src, cutOffUint64)
	case tensor.Float32:
		storeAs(tensor.Data[float32](t)[lo:], src, func(v float64) float32 { return float32(v) })
	case tensor.Float64:
		copy(tensor.Data[float64](t)[lo:], src)
	case tensor.Bool:
		storeAs(tensor.Data[bool](t)[lo:], src, func(v float64) bool { return v != 0 })
	case tensor.Float16:
		storeAs(tensor.Data[tensor.F16](t)[lo:], src, tensor.F16Of64)
	case tensor.BFloat16:
		storeAs(tensor.Data[tensor.BF16](t)[lo:], src, tensor.BF16Of64)
	case tensor.Float8E4M3FN:
		storeAs(tensor.Data[tensor.F8E4M3FN](t)[lo:], src, func(v float64) tensor.F8E4M3FN { return tensor.F8E4M3FNOf(v, r.saturate) })
	case tensor.Float8E4M3FNUZ:
		storeAs(tensor.Data[tensor.F8E4M3FNUZ](t)[lo:], src, func(v float64) tensor.F8E4M3FNUZ { return tensor.F8E4M3FNUZOf(v, r.saturate) })
	case tensor.Float8E5M2:
		storeAs(tensor.Data[tensor.F8E5M2](t)[lo:], src, func(v float64) tensor.F8E5M2 { return tensor.F8E5M2Of(v, r.saturate) })
	case tensor.Float8E5M2FNUZ:
		storeAs(tensor.Data[tensor.F8E5M2FNUZ](t)[lo:], src, func(v float64) tensor.F8E5M2FNUZ { return tensor.F8E5M2FNUZOf(v, r.saturate) })
	case tensor.Float8E8M0:
		storeAs(tensor.Data[tensor.F8E8M0](t)[lo:], src, func(v float64) tensor.F8E8M0 { return tensor.F8E8M0Of(v, r.saturate, r.mode) })
	case tensor.Float4E2M1:
		for i, v := range src {
			t.SetPackedCode(lo+i, tensor.F4E2M1Of(v))
		}
	default: // the packed integers
		for i, v := range src {
			t.SetPackedCode(lo+i, uint8(cutOff32(v)))
		}
	}
}
