package tensor

import "math"

// floatFormat describes a small binary float with a sign bit on top. Codes
// are without the sign.
type floatFormat struct {
	man, bias int
	max       uint32 // largest finite value
	inf       uint32 // infinity; 0 if there is none
	nan       uint32 // NaN; 0 if there is none, or if it takes the place of -0
	sign      uint32
	fnuz      bool // finite, NaN is -0, no negative zero
}

var (
	formatF16    = floatFormat{man: 10, bias: 15, max: 0x7bff, inf: 0x7c00, nan: 0x7e00, sign: 0x8000}
	formatBF16   = floatFormat{man: 7, bias: 127, max: 0x7f7f, inf: 0x7f80, nan: 0x7fc0, sign: 0x8000}
	formatE4M3FN = floatFormat{man: 3, bias: 7, max: 0x7e, nan: 0x7f, sign: 0x80}
	formatE4M3UZ = floatFormat{man: 3, bias: 8, max: 0x7f, sign: 0x80, fnuz: true}
	formatE5M2   = floatFormat{man: 2, bias: 15, max: 0x7b, inf: 0x7c, nan: 0x7e, sign: 0x80}
	formatE5M2UZ = floatFormat{man: 2, bias: 16, max: 0x7f, sign: 0x80, fnuz: true}
	formatE2M1   = floatFormat{man: 1, bias: 1, max: 0x7, sign: 0x8}
)

// round returns the code nearest to the finite float64 with bits abs >= 0,
// ties to even, as if the exponent had no upper bound: what is above f.max
// does not fit.
func (f *floatFormat) round(abs uint64) uint32 {
	if abs>>52 == 0 { // far below half of the least value of any format
		return 0
	}
	e, m := int(abs>>52)-1023, abs&(1<<52-1)|1<<52
	least := 1 - f.bias // exponent of the least normal value
	shift := 52 - f.man + max(0, least-e)
	if shift > 53 {
		return 0
	}
	q, half := m>>shift, uint64(1)<<(shift-1)
	if rem := m & (2*half - 1); rem > half || rem == half && q&1 == 1 {
		q++
	}
	// The leading one of a normal q, and a carry, count the exponent up.
	return uint32(q) + uint32(max(0, e-least))<<f.man
}

// encode rounds x; out of range, it gives the largest value if saturate is
// set, else infinity or NaN as the format has it.
func (f *floatFormat) encode(x float64, saturate bool) uint32 {
	b := math.Float64bits(x)
	abs := b &^ (1 << 63)
	var sign uint32
	if b != abs {
		sign = f.sign
	}
	code := uint32(0)
	switch {
	case abs > 0x7ff0<<48:
		if f.fnuz {
			return f.sign
		}
		if f.nan == 0 { // a NaN has no representation: ONNX leaves the result open, NumPy gives -0
			return f.sign
		}
		return f.nan | sign
	case abs == 0x7ff0<<48:
		code = f.max + 1
	default:
		code = f.round(abs)
	}
	if code > f.max {
		switch {
		case saturate:
			code = f.max
		case f.inf != 0:
			code = f.inf
		case f.fnuz:
			return f.sign
		default:
			code = f.nan
		}
	}
	if code == 0 && f.fnuz {
		return 0
	}
	return code | sign
}

// decode returns the value of code, which may have a sign.
func (f *floatFormat) decode(code uint32) float32 {
	abs := code &^ f.sign
	var v float64
	switch {
	case f.fnuz && code == f.sign, f.inf == 0 && abs > f.max, f.inf != 0 && abs > f.inf:
		v = math.NaN()
	case f.inf != 0 && abs == f.inf:
		v = math.Inf(1)
	case abs>>f.man == 0:
		v = math.Ldexp(float64(abs), 1-f.bias-f.man)
	default:
		v = math.Ldexp(float64(abs&(1<<f.man-1)|1<<f.man), int(abs>>f.man)-f.bias-f.man)
	}
	if code != abs {
		v = math.Copysign(v, -1)
	}
	return float32(v)
}

func (f *floatFormat) table() (t [256]float32) {
	for i := range t {
		t[i] = f.decode(uint32(i) & (2*f.sign - 1))
	}
	return t
}

var (
	tableE4M3FN = formatE4M3FN.table()
	tableE4M3UZ = formatE4M3UZ.table()
	tableE5M2   = formatE5M2.table()
	tableE5M2UZ = formatE5M2UZ.table()
	tableE2M1   = formatE2M1.table() // repeats after 16 entries
	tableE8M0   = func() (t [256]float32) {
		for i := range 255 {
			t[i] = float32(math.Ldexp(1, i-127))
		}
		t[255] = float32(math.NaN())
		return t
	}()
)

// Float32 returns the value of v, exactly.
func (v F8E4M3FN) Float32() float32 { return tableE4M3FN[v] }

// Float32 returns the value of v, exactly.
func (v F8E4M3FNUZ) Float32() float32 { return tableE4M3UZ[v] }

// Float32 returns the value of v, exactly.
func (v F8E5M2) Float32() float32 { return tableE5M2[v] }

// Float32 returns the value of v, exactly.
func (v F8E5M2FNUZ) Float32() float32 { return tableE5M2UZ[v] }

// Float32 returns the value of v, a power of two, or NaN.
func (v F8E8M0) Float32() float32 { return tableE8M0[v] }

// F8E4M3FNOf rounds x to the nearest value, ties to even. Out of range it is
// ±448 if saturate is set, else NaN. A float32 may be passed as float64(x)
// without a second rounding; so it is with the other functions of this kind.
func F8E4M3FNOf(x float64, saturate bool) F8E4M3FN {
	return F8E4M3FN(formatE4M3FN.encode(x, saturate))
}

// F8E4M3FNUZOf rounds x to the nearest value, ties to even. Out of range it is
// ±240 if saturate is set, else NaN. There is no negative zero.
func F8E4M3FNUZOf(x float64, saturate bool) F8E4M3FNUZ {
	return F8E4M3FNUZ(formatE4M3UZ.encode(x, saturate))
}

// F8E5M2Of rounds x to the nearest value, ties to even. Out of range it is
// ±57344 if saturate is set, else infinite.
func F8E5M2Of(x float64, saturate bool) F8E5M2 { return F8E5M2(formatE5M2.encode(x, saturate)) }

// F8E5M2FNUZOf rounds x to the nearest value, ties to even. Out of range it is
// ±57344 if saturate is set, else NaN. There is no negative zero.
func F8E5M2FNUZOf(x float64, saturate bool) F8E5M2FNUZ {
	return F8E5M2FNUZ(formatE5M2UZ.encode(x, saturate))
}

// F4E2M1Of returns the four bits of the float4e2m1 value nearest to x, ties to
// even: one of ±{0, 0.5, 1, 1.5, 2, 3, 4, 6}. Out of range it is ±6. NaN, which
// the type lacks, becomes -0 as in NumPy's ml_dtypes.
func F4E2M1Of(x float64) uint8 { return uint8(formatE2M1.encode(x, true)) }

// F4E2M1Float32 returns the value of the low four bits of code.
func F4E2M1Float32(code uint8) float32 { return tableE2M1[code] }

// RoundMode says how a conversion to float8e8m0 rounds.
type RoundMode uint8

// The round modes of ONNX's Cast.
const (
	RoundUp      RoundMode = iota // away from zero
	RoundDown                     // towards zero
	RoundNearest                  // to nearest, ties up
)

// ParseRoundMode returns the mode that ONNX's attribute round_mode names.
func ParseRoundMode(s string) (RoundMode, bool) {
	switch s {
	case "up":
		return RoundUp, true
	case "down":
		return RoundDown, true
	case "nearest":
		return RoundNearest, true
	}
	return 0, false
}

// F8E8M0Of rounds x to a power of two. Out of [2^-127, 2^127] (0 and infinity
// too) it is the nearest bound if saturate is set, else NaN. NaN and negative
// numbers, which ONNX leaves open, become NaN.
func F8E8M0Of(x float64, saturate bool, mode RoundMode) F8E8M0 {
	const nan = 0xff
	if math.IsNaN(x) || x < 0 {
		return nan
	}
	code := 0
	switch {
	case math.IsInf(x, 1):
		code = 255
	case x == 0:
		code = -1
	default:
		f, e := math.Frexp(x) // f in [0.5, 1)
		code = e - 1 + 127
		if f > 0.5 && (mode == RoundUp || mode == RoundNearest && f >= 0.75) {
			code++
		}
	}
	switch {
	case code >= 0 && code < 255:
		return F8E8M0(code)
	case !saturate:
		return nan
	case code < 0:
		return 0
	}
	return 254
}
