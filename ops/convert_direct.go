package ops

import (
	"math"
	"unsafe"

	f16 "github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/kernels/quant"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/tensor"
)

// castLoop converts n elements at src to those at dst.
type castLoop func(dst, src unsafe.Pointer, n int)

// directCasts are conversions among the types that models use most, without
// numbers of 64 bits in between.
var directCasts = func() map[[2]tensor.DType]castLoop {
	m := map[[2]tensor.DType]castLoop{}
	castsOfInts[int64](m, tensor.Int64)
	castsOfInts[int32](m, tensor.Int32)
	castsOfInts[int8](m, tensor.Int8)
	castsOfInts[uint8](m, tensor.Uint8)
	castsOfInts[uint8](m, tensor.Bool) // Go's bools are 0 or 1
	castsOfFloats[float32](m, tensor.Float32)
	castsOfFloats[float64](m, tensor.Float64)
	m[[2]tensor.DType{tensor.Int32, tensor.Float32}] = func(dst, src unsafe.Pointer, n int) {
		quant.Floats(unsafe.Slice((*float32)(dst), n), unsafe.Slice((*int32)(src), n))
	}
	m[[2]tensor.DType{tensor.Int8, tensor.Float32}] = castBytes[int8]
	m[[2]tensor.DType{tensor.Uint8, tensor.Float32}] = castBytes[uint8]
	m[[2]tensor.DType{tensor.Bool, tensor.Float32}] = castBytes[uint8]
	m[[2]tensor.DType{tensor.Float32, tensor.Int32}] = func(dst, src unsafe.Pointer, n int) {
		quant.Integers(unsafe.Slice((*int32)(dst), n), unsafe.Slice((*float32)(src), n))
	}
	m[[2]tensor.DType{tensor.Float32, tensor.Int8}] = castToBytes
	m[[2]tensor.DType{tensor.Float32, tensor.Uint8}] = castToBytes
	for _, same := range [][2]tensor.DType{{tensor.Int8, tensor.Uint8}, {tensor.Uint8, tensor.Int8}, {tensor.Bool, tensor.Int8}, {tensor.Bool, tensor.Uint8}} {
		m[same] = castSameBytes
	}
	for _, h := range []tensor.DType{tensor.Float16, tensor.BFloat16} {
		for _, d := range []tensor.DType{tensor.Int64, tensor.Int32, tensor.Int8, tensor.Uint8, tensor.Float64, tensor.Bool} {
			m[[2]tensor.DType{h, d}] = castWidened(h, m[[2]tensor.DType{tensor.Float32, d}], d.Size())
			// What float32 rounds is beyond float16, but not beyond bfloat16.
			if !d.IsFloat() && (h == tensor.Float16 || d.Size() == 1) {
				m[[2]tensor.DType{d, h}] = castNarrowed(h, m[[2]tensor.DType{d, tensor.Float32}], d.Size())
			}
		}
	}
	m[[2]tensor.DType{tensor.Float64, tensor.Float16}] = castNarrowed(tensor.Float16, castOdd, 8)
	return m
}()

// castWidened goes from half precision by way of float32, from which f goes on to elements of size bytes.
func castWidened(from tensor.DType, f castLoop, size int) castLoop {
	kind := halfKind(from)
	return func(dst, src unsafe.Pointer, n int) {
		w := bufferPool.Get().(*buffers)
		defer bufferPool.Put(w)
		h := unsafe.Slice((*uint16)(src), n)
		for lo := 0; lo < n; lo += block {
			b := w.a[:min(block, n-lo)]
			f16.Widen(kind, b, h[lo:lo+len(b)])
			f(unsafe.Add(dst, lo*size), startOf(b), len(b))
		}
	}
}

// castNarrowed goes to half precision by way of float32, to which f comes from elements of size bytes.
func castNarrowed(to tensor.DType, f castLoop, size int) castLoop {
	kind := halfKind(to)
	return func(dst, src unsafe.Pointer, n int) {
		w := bufferPool.Get().(*buffers)
		defer bufferPool.Put(w)
		h := unsafe.Slice((*uint16)(dst), n)
		for lo := 0; lo < n; lo += block {
			b := w.a[:min(block, n-lo)]
			f(startOf(b), unsafe.Add(src, lo*size), len(b))
			f16.Narrow(kind, h[lo:lo+len(b)], b)
		}
	}
}

func castSameBytes(dst, src unsafe.Pointer, n int) {
	copy(unsafe.Slice((*uint8)(dst), n), unsafe.Slice((*uint8)(src), n))
}

// castOdd cuts float64 off to float32, with the last bit set if that is not exact: rounded once more, to fewer
// digits, it becomes what the float64 would; float16 has so few.
func castOdd(dst, src unsafe.Pointer, n int) {
	const cut, low = 52 - 23, 1023 - 127 // bits, and the difference of the exponents
	d, s := unsafe.Slice((*uint32)(dst), n), unsafe.Slice((*uint64)(src), n)
	for i, b := range s {
		e := b << 1 >> 53
		if e-low-1 >= 254 { // 0, not finite, or not normal in float32, which is 0 or infinite in float16
			d[i] = math.Float32bits(float32(math.Float64frombits(b)))
			continue
		}
		v := uint32(b>>63)<<31 | uint32((b&^(1<<63)-low<<52)>>cut)
		d[i] = v | uint32((b&(1<<cut-1)+(1<<cut-1))>>cut)
	}
}

func halfKind(d tensor.DType) f16.Kind {
	if d == tensor.BFloat16 {
		return f16.BFloat16
	}
	return f16.Float16
}

// castToBytes keeps the low bits of integers, of either sign.
func castToBytes(dst, src unsafe.Pointer, n int) {
	buf, pool := borrow[[block]int32]()
	defer pool.Put(buf)
	d, s := unsafe.Slice((*uint8)(dst), n), unsafe.Slice((*float32)(src), n)
	for len(d) > 0 {
		b := buf[:min(block, len(d))]
		quant.Integers(b, s)
		for i, v := range b {
			d[i] = uint8(v)
		}
		d, s = d[len(b):], s[len(b):]
	}
}

func castsOfInts[S integer](m map[[2]tensor.DType]castLoop, from tensor.DType) {
	for to, f := range map[tensor.DType]castLoop{
		tensor.Int64: castNumbers[S, int64], tensor.Int32: castNumbers[S, int32], tensor.Int8: castNumbers[S, int8], tensor.Uint8: castNumbers[S, uint8],
		tensor.Float32: castNumbers[S, float32], tensor.Float64: castNumbers[S, float64], tensor.Bool: castTruths[S],
	} {
		m[[2]tensor.DType{from, to}] = f
	}
}

func castsOfFloats[S float](m map[[2]tensor.DType]castLoop, from tensor.DType) {
	for to, f := range map[tensor.DType]castLoop{
		tensor.Int64: castCut[S], tensor.Int32: castCut32[S, int32], tensor.Int8: castCut32[S, int8], tensor.Uint8: castCut32[S, uint8],
		tensor.Float32: castNumbers[S, float32], tensor.Float64: castNumbers[S, float64], tensor.Bool: castTruths[S],
	} {
		m[[2]tensor.DType{from, to}] = f
	}
}

func castNumbers[S, D number](dst, src unsafe.Pointer, n int) {
	d, s := unsafe.Slice((*D)(dst), n), unsafe.Slice((*S)(src), n)
	for i, v := range s {
		d[i] = D(v)
	}
}

func castTruths[S number](dst, src unsafe.Pointer, n int) {
	d, s := unsafe.Slice((*bool)(dst), n), unsafe.Slice((*S)(src), n)
	for i, v := range s {
		d[i] = v != 0
	}
}

func castCut[S float](dst, src unsafe.Pointer, n int) {
	d, s := unsafe.Slice((*int64)(dst), n), unsafe.Slice((*S)(src), n)
	for i, v := range s {
		d[i] = cutOff(float64(v))
	}
}

func castCut32[S float, D integer](dst, src unsafe.Pointer, n int) {
	d, s := unsafe.Slice((*D)(dst), n), unsafe.Slice((*S)(src), n)
	for i, v := range s {
		d[i] = D(cutOff32(float64(v)))
	}
}

func castBytes[S quant.Byte](dst, src unsafe.Pointer, n int) {
	quant.Dequantize(unsafe.Slice((*float32)(dst), n), unsafe.Slice((*S)(src), n), 1, 0)
}

// castDirect is a castLoop over tensors.
type castDirect struct {
	f          castLoop
	dst, src   unsafe.Pointer
	size, from int // bytes of an element
}

func (c *castDirect) Chunk(lo, hi int) {
	c.f(unsafe.Add(c.dst, lo*c.size), unsafe.Add(c.src, lo*c.from), hi-lo)
}

func (c *Call) castDirectly(f castLoop, dst, src *tensor.Tensor) {
	d, s := vectorOf(dst), vectorOf(src)
	par.Run(c.P, src.Len(), grain, par.With(castDirect{f, d.p, s.p, dst.DType().Size(), src.DType().Size()}))
}
