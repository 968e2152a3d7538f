package tensor

import "fmt"

// getPacked returns element i of data with the given bits (2 or 4) per element,
// not sign-extended.
func getPacked(data []byte, i, bits int) uint8 {
	at := i * bits
	return data[at/8] >> (at % 8) & (1<<bits - 1)
}

func setPacked(data []byte, i, bits int, code uint8) {
	at := i * bits
	mask := byte(1<<bits-1) << (at % 8)
	p := &data[at/8]
	*p = *p&^mask | code<<(at%8)&mask
}

// PackedCode returns the bits of element i of a packed tensor (int4, uint4,
// float4e2m1, int2, uint2), not sign-extended. It panics on other types.
func (t *Tensor) PackedCode(i int) uint8 {
	t.mustPacked(i)
	return getPacked(t.data, i, t.dtype.Bits())
}

// SetPackedCode sets element i of a packed tensor to the low bits of code. The
// neighbours in the byte are read and written back: not for concurrent writers
// of one byte.
func (t *Tensor) SetPackedCode(i int, code uint8) {
	t.mustPacked(i)
	setPacked(t.data, i, t.dtype.Bits(), code)
}

func (t *Tensor) mustPacked(i int) {
	if !t.dtype.IsPacked() {
		panic(fmt.Sprintf("tensor: %v is not packed", t.dtype))
	}
	if i < 0 || i >= t.n {
		panic(fmt.Sprintf("tensor: element %d of %d", i, t.n))
	}
}

// Unpacked returns the Go-storable type in which Unpack puts elements of d: int8 for
// int4 and int2, uint8 for uint4, uint2 and (as codes) float4e2m1; d itself if it is not packed.
func (d DType) Unpacked() DType {
	switch d {
	case Int4, Int2:
		return Int8
	case Uint4, Uint2, Float4E2M1:
		return Uint8
	}
	return d
}

// Unpack returns a tensor of t's shape with one byte per element: int8 for
// int4 and int2, uint8 for uint4, uint2 and float4e2m1 (its codes; Widen gives
// values). A tensor that is not packed is returned as it is.
func Unpack(t *Tensor) *Tensor {
	if !t.dtype.IsPacked() {
		return t
	}
	u := New(t.dtype.Unpacked(), t.shape...)
	UnpackTo(u.data, t)
	return u
}

// UnpackTo sets dst to the bytes that Unpack gives for t, which is packed and has as many elements.
func UnpackTo(dst []byte, t *Tensor) {
	dst = dst[:t.n]
	if t.dtype.Bits() == 4 {
		unpack4(dst, t.data)
	} else {
		unpack2(dst, t.data)
	}
	if t.dtype.IsSigned() {
		shift := 8 - t.dtype.Bits()
		for i, v := range dst {
			dst[i] = byte(int8(v<<shift) >> shift)
		}
	}
}

func unpack4(dst, src []byte) {
	n := len(dst) / 2
	for i, b := range src[:n] {
		dst[2*i] = b & 15
		dst[2*i+1] = b >> 4
	}
	if len(dst)%2 == 1 {
		dst[2*n] = src[n] & 15
	}
}

func unpack2(dst, src []byte) {
	n := len(dst) / 4
	for i, b := range src[:n] {
		d := dst[4*i : 4*i+4]
		d[0], d[1], d[2], d[3] = b&3, b>>2&3, b>>4&3, b>>6
	}
	for i := 4 * n; i < len(dst); i++ {
		dst[i] = getPacked(src, i, 2)
	}
}

// Pack returns a tensor of the packed type d with the shape of t, an int8 or
// uint8 tensor of which the low bits of each element are taken. Bits past the
// last element are zero. It is an error if d is not packed or t has another type.
func Pack(d DType, t *Tensor) (*Tensor, error) {
	if !d.IsPacked() {
		return nil, fmt.Errorf("tensor: %v is not a packed type", d)
	}
	if t.dtype != Int8 && t.dtype != Uint8 {
		return nil, fmt.Errorf("tensor: packing %v, want int8 or uint8", t.dtype)
	}
	p := New(d, t.shape...)
	PackTo(p, t.data)
	return p, nil
}

// PackTo sets dst, which is packed, to the low bits of as many bytes as it has elements, as Pack does.
func PackTo(dst *Tensor, src []byte) {
	data := dst.data
	if dst.dtype.Bits() == 4 {
		n := dst.n / 2
		for i := range n {
			data[i] = src[2*i]&15 | src[2*i+1]<<4
		}
		if dst.n%2 == 1 {
			data[n] = src[2*n] & 15
		}
		return
	}
	clear(data)
	for i, v := range src[:dst.n] {
		data[i/4] |= v & 3 << (i % 4 * 2)
	}
}
