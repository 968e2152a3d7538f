package tensor

import "math"

// Float32 returns the value of h.
func (h F16) Float32() float32 {
	sign, exp, man := uint32(h>>15)<<31, uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch {
	case exp == 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | man<<13)
	case exp != 0:
		return math.Float32frombits(sign | (exp+112)<<23 | man<<13)
	}
	v := float32(man) * (1.0 / (1 << 24))
	return math.Float32frombits(math.Float32bits(v) | sign)
}

// F16Of rounds x to the nearest F16, ties to even; NaN stays NaN, what is too
// large becomes infinite.
func F16Of(x float32) F16 {
	b := math.Float32bits(x)
	sign, abs := F16(b>>16)&0x8000, b&0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00 | F16(abs>>13&0x3ff)
	case abs >= 0x47800000:
		return sign | 0x7c00
	case abs >= 0x38800000: // normal; a carry out of the mantissa is right, up to infinity
		r := abs + 0xfff + abs>>13&1
		return sign | F16((r-0x38000000)>>13)
	case abs < 0x33000000:
		return sign
	}
	shift := 126 - abs>>23
	man := abs&0x7fffff | 0x800000
	half := uint32(1) << (shift - 1)
	q := man >> shift
	if rem := man & (1<<shift - 1); rem > half || rem == half && q&1 == 1 {
		q++
	}
	return sign | F16(q)
}

// Float32 returns the value of h.
func (h BF16) Float32() float32 { return math.Float32frombits(uint32(h) << 16) }

// BF16Of rounds x to the nearest BF16, ties to even; NaN stays NaN.
func BF16Of(x float32) BF16 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return BF16(b>>16) | 0x40
	}
	return BF16((b + 0x7fff + b>>16&1) >> 16)
}
