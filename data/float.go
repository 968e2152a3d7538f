package data

import (
	"math"
	"strconv"
	"strings"
)

// ParseFloat is strconv.ParseFloat(s, 64), and faster for short decimal numbers, which
// tables are full of: a mantissa below 2⁵³ and a power of ten up to 22 are exact, so one
// multiplication or division rounds correctly (Clinger, How to read floating point
// numbers accurately, 1990).
func ParseFloat(s string) (float64, error) {
	if v, ok := decimal(s); ok {
		return v, nil
	}
	return strconv.ParseFloat(s, 64)
}

// ParseTruth reads true and false, in any case, as 1 and 0: what data frames write for columns of bools.
func ParseTruth(s string) (v float64, ok bool) {
	switch {
	case strings.EqualFold(s, "true"):
		return 1, true
	case strings.EqualFold(s, "false"):
		return 0, true
	}
	return 0, false
}

// parseFloat32 is strconv.ParseFloat(s, 32).
func parseFloat32(s string) (float32, error) {
	if v, ok := decimal(s); ok {
		a := math.Abs(v)
		// Rounding twice differs from rounding once just where the first result is halfway between
		// two float32; subnormal ones have fewer bits.
		if v == 0 || a >= 0x1p-126 && a <= math.MaxFloat32 && math.Float64bits(v)&(1<<29-1) != 1<<28 {
			return float32(v), nil
		}
	}
	v, err := strconv.ParseFloat(s, 32)
	return float32(v), err
}

var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// decimal reads [+-]digits[.digits][e[+-]digits] where that is exact.
func decimal(s string) (float64, bool) {
	i, negative := 0, false
	if i < len(s) && (s[i] == '-' || s[i] == '+') {
		negative = s[i] == '-'
		i++
	}
	mantissa, exp := uint64(0), 0
	start := i
	for ; i < len(s) && s[i]-'0' < 10; i++ {
		mantissa = mantissa*10 + uint64(s[i]-'0')
	}
	digits := i - start
	if i < len(s) && s[i] == '.' {
		i++
		point := i
		for ; i < len(s) && s[i]-'0' < 10; i++ {
			mantissa = mantissa*10 + uint64(s[i]-'0')
		}
		exp = point - i
		digits -= exp
	}
	if digits == 0 || digits > 19 || mantissa >= 1<<53 { // 19 digits do not overflow
		return 0, false
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		down := false
		if i < len(s) && (s[i] == '-' || s[i] == '+') {
			down = s[i] == '-'
			i++
		}
		start, e := i, 0
		for ; i < len(s) && s[i]-'0' < 10 && i-start < 4; i++ {
			e = e*10 + int(s[i]-'0')
		}
		if i == start {
			return 0, false
		}
		if down {
			e = -e
		}
		exp += e
	}
	if i != len(s) || exp < -22 || exp > 22 {
		return 0, false
	}
	v := float64(mantissa)
	if exp < 0 {
		v /= powersOfTen[-exp]
	} else {
		v *= powersOfTen[exp]
	}
	if negative {
		v = -v
	}
	return v, true
}
