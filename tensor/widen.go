package tensor

import "fmt"

// Widen returns a float32 copy of t, which is of any floating-point type;
// exact but for float64. It panics on other types.
func Widen(t *Tensor) *Tensor {
	w := New(Float32, t.shape...)
	WidenTo(Data[float32](w), t, 0)
	return w
}

// WidenTo sets dst to elements [off, off+len(dst)) of t, a tensor of any
// floating-point type, as float32. It panics on other types.
func WidenTo(dst []float32, t *Tensor, off int) {
	end := off + len(dst)
	switch t.dtype {
	case Float32:
		copy(dst, Data[float32](t)[off:end])
	case Float64:
		for i, v := range Data[float64](t)[off:end] {
			dst[i] = float32(v)
		}
	case Float16:
		for i, v := range Data[F16](t)[off:end] {
			dst[i] = v.Float32()
		}
	case BFloat16:
		for i, v := range Data[BF16](t)[off:end] {
			dst[i] = v.Float32()
		}
	case Float8E4M3FN:
		lookup(dst, t.data[off:end], &tableE4M3FN)
	case Float8E4M3FNUZ:
		lookup(dst, t.data[off:end], &tableE4M3UZ)
	case Float8E5M2:
		lookup(dst, t.data[off:end], &tableE5M2)
	case Float8E5M2FNUZ:
		lookup(dst, t.data[off:end], &tableE5M2UZ)
	case Float8E8M0:
		lookup(dst, t.data[off:end], &tableE8M0)
	case Float4E2M1:
		for i := range dst {
			j := off + i
			dst[i] = tableE2M1[t.data[j/2]>>(j%2*4)]
		}
	default:
		panic(fmt.Sprintf("tensor: widening %v", t.dtype))
	}
}

func lookup(dst []float32, src []byte, table *[256]float32) {
	for i, v := range src {
		dst[i] = table[v]
	}
}

// Narrow rounds the float32 tensor src into dst, a tensor of any
// floating-point type with as many elements: to nearest even, the 8-bit types
// saturating and float8e8m0 up, as Cast does without attributes. It panics on
// other types.
func Narrow(dst, src *Tensor) { NarrowFrom(dst, 0, Data[float32](src)) }

// NarrowFrom sets elements [off, off+len(src)) of dst as Narrow does. Chunks
// of a packed type (float4e2m1) that are written concurrently must not share a byte.
func NarrowFrom(dst *Tensor, off int, src []float32) {
	end := off + len(src)
	switch dst.dtype {
	case Float32:
		copy(Data[float32](dst)[off:end], src)
	case Float64:
		for i, d := 0, Data[float64](dst)[off:end]; i < len(src); i++ {
			d[i] = float64(src[i])
		}
	case Float16:
		for i, d := 0, Data[F16](dst)[off:end]; i < len(src); i++ {
			d[i] = F16Of(src[i])
		}
	case BFloat16:
		for i, d := 0, Data[BF16](dst)[off:end]; i < len(src); i++ {
			d[i] = BF16Of(src[i])
		}
	case Float8E4M3FN:
		encodeAll(dst.data[off:end], src, &formatE4M3FN)
	case Float8E4M3FNUZ:
		encodeAll(dst.data[off:end], src, &formatE4M3UZ)
	case Float8E5M2:
		encodeAll(dst.data[off:end], src, &formatE5M2)
	case Float8E5M2FNUZ:
		encodeAll(dst.data[off:end], src, &formatE5M2UZ)
	case Float8E8M0:
		for i, v := range src {
			dst.data[off+i] = uint8(F8E8M0Of(float64(v), true, RoundUp))
		}
	case Float4E2M1:
		for i, v := range src {
			setPacked(dst.data, off+i, 4, F4E2M1Of(float64(v)))
		}
	default:
		panic(fmt.Sprintf("tensor: narrowing to %v", dst.dtype))
	}
}

func encodeAll(dst []byte, src []float32, f *floatFormat) {
	for i, v := range src {
		dst[i] = uint8(f.encode(float64(v), true))
	}
}
