package tensor

import "fmt"

// Widen returns a float32 copy of a float16 or bfloat16 tensor.
func Widen(t *Tensor) *Tensor {
	w := New(Float32, t.shape...)
	dst := Data[float32](w)
	switch t.dtype {
	case Float16:
		for i, v := range Data[F16](t) {
			dst[i] = v.Float32()
		}
	case BFloat16:
		for i, v := range Data[BF16](t) {
			dst[i] = v.Float32()
		}
	default:
		panic(fmt.Sprintf("tensor: widening %v", t.dtype))
	}
	return w
}

// Narrow rounds the float32 tensor src into dst, a float16 or bfloat16 tensor
// of the same shape.
func Narrow(dst, src *Tensor) {
	s := Data[float32](src)
	switch dst.dtype {
	case Float16:
		for i, d := 0, Data[F16](dst); i < len(s); i++ {
			d[i] = F16Of(s[i])
		}
	case BFloat16:
		for i, d := 0, Data[BF16](dst); i < len(s); i++ {
			d[i] = BF16Of(s[i])
		}
	default:
		panic(fmt.Sprintf("tensor: narrowing to %v", dst.dtype))
	}
}
