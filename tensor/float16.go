package tensor

import "math"

// Float32 returns the value of h, exactly. A signaling NaN stays a NaN.
func (h F16) Float32() float32 {
	// Shifted into place, the bits are the value scaled by 2^-112; one multiplication
	// puts that right, but where subnormal numbers count as zero.
	f := math.Float32frombits(uint32(h&0x7fff)<<13) * 0x1p112
	if h&0x7c00 == 0 {
		f = float32(h&0x3ff) * 0x1p-24
	}
	b := math.Float32bits(f) | uint32(h&0x8000)<<16
	if h&0x7c00 == 0x7c00 {
		b |= 0x7f800000
	}
	return math.Float32frombits(b)
}

// Float64 returns the value of h, exactly.
func (h F16) Float64() float64 { return float64(h.Float32()) }

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

// F16Of64 rounds x to the nearest F16 at once, ties to even. Going through
// float32 would round twice.
func F16Of64(x float64) F16 {
	b := math.Float64bits(x)
	sign := F16(b>>48) & 0x8000
	switch abs := b &^ (1 << 63); {
	case abs > 0x7ff0<<48:
		return sign | 0x7e00 | F16(abs>>42&0x3ff)
	default:
		return sign | F16(min(formatF16.round(abs), 0x7c00))
	}
}

// Float32 returns the value of h, exactly.
func (h BF16) Float32() float32 { return math.Float32frombits(uint32(h) << 16) }

// Float64 returns the value of h, exactly.
func (h BF16) Float64() float64 { return float64(h.Float32()) }

// BF16Of rounds x to the nearest BF16, ties to even; NaN stays NaN, what is
// too large becomes infinite.
func BF16Of(x float32) BF16 {
	b := math.Float32bits(x)
	if b&0x7fffffff > 0x7f800000 {
		return BF16(b>>16) | 0x40
	}
	return BF16((b + 0x7fff + b>>16&1) >> 16)
}

// BF16Of64 rounds x to the nearest BF16 at once, ties to even.
func BF16Of64(x float64) BF16 {
	b := math.Float64bits(x)
	sign := BF16(b>>48) & 0x8000
	switch abs := b &^ (1 << 63); {
	case abs > 0x7ff0<<48:
		return sign | 0x7fc0 | BF16(abs>>45&0x7f)
	default:
		return sign | BF16(min(formatBF16.round(abs), 0x7f80))
	}
}
