package tensor

import (
	"bufio"
	"math"
	"math/rand/v2"
	"os"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ml_dtypes' value of every code, by type name.
func floatValues(t *testing.T) map[string][]float64 {
	f, err := os.Open("testdata/float8_values.txt")
	require.NoError(t, err)
	defer f.Close()
	out := map[string][]float64{}
	for s := bufio.NewScanner(f); s.Scan(); {
		words := strings.Fields(s.Text())
		for _, w := range words[1:] {
			v, err := strconv.ParseFloat(w, 64)
			require.NoError(t, err)
			out[words[0]] = append(out[words[0]], v)
		}
	}
	return out
}

func same(a, b float64) bool {
	return a != a && b != b || a == b && math.Signbit(a) == math.Signbit(b)
}

func TestFloat8Values(t *testing.T) {
	for name, want := range floatValues(t) {
		for code, w := range want {
			c := uint8(code)
			var got float32
			switch name {
			case "float8e4m3fn":
				got = F8E4M3FN(c).Float32()
			case "float8e4m3fnuz":
				got = F8E4M3FNUZ(c).Float32()
			case "float8e5m2":
				got = F8E5M2(c).Float32()
			case "float8e5m2fnuz":
				got = F8E5M2FNUZ(c).Float32()
			case "float8e8m0":
				got = F8E8M0(c).Float32()
			case "float4e2m1":
				got = F4E2M1Float32(c)
			}
			require.True(t, same(float64(got), w), "%s %#x: %v, want %v", name, c, got, w)
		}
	}
}

// nearest rounds by search in the list of values: what the bits do must agree.
type nearest struct {
	vals  []float64 // finite, not negative, ascending
	codes []uint32
	next  float64 // the value after the last one if the exponent had no bound
}

func newNearest(n int, value func(code uint32) float64) nearest {
	var r nearest
	for c := range uint32(n) {
		if v := value(c); !math.IsNaN(v) && !math.IsInf(v, 0) {
			r.vals, r.codes = append(r.vals, v), append(r.codes, c)
		}
	}
	k := len(r.vals) - 1
	r.next = 2*r.vals[k] - r.vals[k-1]
	return r
}

// round returns the code of x >= 0 and whether x is in range.
func (r nearest) round(x float64) (uint32, bool) {
	k := sort.SearchFloat64s(r.vals, x)
	if k == 0 {
		return 0, true
	}
	lo, hi, code := r.vals[k-1], r.next, r.codes[k-1]
	if k < len(r.vals) {
		hi = r.vals[k]
	}
	// Halves are exact: all values are far from float64's limits of precision.
	if mid := lo/2 + hi/2; x > mid || x == mid && code&1 == 1 {
		code++
		return code, k < len(r.vals)
	}
	return code, true
}

// samples are x around every value and midpoint, specials and random numbers.
func (r nearest) samples() []float64 {
	out := []float64{0, 1e-320, 1e300, math.MaxFloat32, r.next}
	for i, v := range r.vals {
		next := r.next
		if i+1 < len(r.vals) {
			next = r.vals[i+1]
		}
		mid := v/2 + next/2
		out = append(out, v, mid, math.Nextafter(mid, 0), math.Nextafter(mid, math.Inf(1)))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		out = append(out, math.Exp2(rnd.Float64()*300-150))
	}
	return out
}

func TestFloat8Rounding(t *testing.T) {
	values := floatValues(t)
	for _, c := range []struct {
		name             string
		f                func(float64, bool) uint32
		over, nan, large uint32 // out of range; NaN; saturated
		fnuz             bool
	}{
		{"float8e4m3fn", func(x float64, s bool) uint32 { return uint32(F8E4M3FNOf(x, s)) }, 0x7f, 0x7f, 0x7e, false},
		{"float8e4m3fnuz", func(x float64, s bool) uint32 { return uint32(F8E4M3FNUZOf(x, s)) }, 0x80, 0x80, 0x7f, true},
		{"float8e5m2", func(x float64, s bool) uint32 { return uint32(F8E5M2Of(x, s)) }, 0x7c, 0x7e, 0x7b, false},
		{"float8e5m2fnuz", func(x float64, s bool) uint32 { return uint32(F8E5M2FNUZOf(x, s)) }, 0x80, 0x80, 0x7f, true},
	} {
		sign := func(code uint32) uint32 {
			if c.fnuz && (code == 0 || code == 0x80) {
				return code
			}
			return code | 0x80
		}
		r := newNearest(128, func(k uint32) float64 { return values[c.name][k] })
		for _, x := range append(r.samples(), math.Inf(1)) {
			code, in := r.round(x)
			open, closed := code, code
			if !in {
				open, closed = c.over, c.large
			}
			require.Equal(t, open, c.f(x, false), "%s %v", c.name, x)
			require.Equal(t, closed, c.f(x, true), "%s %v", c.name, x)
			require.Equal(t, sign(open), c.f(-x, false), "%s %v", c.name, -x)
			require.Equal(t, sign(closed), c.f(-x, true), "%s %v", c.name, -x)
		}
		require.Equal(t, c.nan, c.f(math.NaN(), true))
		require.Equal(t, sign(c.nan), c.f(math.Copysign(math.NaN(), -1), false))
	}
	r := newNearest(8, func(k uint32) float64 { return values["float4e2m1"][k] })
	for _, x := range append(r.samples(), math.Inf(1)) {
		code, in := r.round(x)
		if !in {
			code = 7
		}
		require.Equal(t, uint8(code), F4E2M1Of(x), "%v", x)
		require.Equal(t, uint8(code|8), F4E2M1Of(-x), "%v", -x)
	}
	require.Equal(t, uint8(8), F4E2M1Of(math.NaN()))
}

func TestFloat8E8M0(t *testing.T) {
	p := math.Exp2
	for _, c := range []struct {
		x                      float64
		up, down, nearest, off F8E8M0 // off: nearest without saturation
	}{
		{1, 127, 127, 127, 127}, {1.25, 128, 127, 127, 127}, {1.5, 128, 127, 128, 128}, {1.75, 128, 127, 128, 128},
		{0, 0, 0, 0, 255}, {p(-127), 0, 0, 0, 0}, {p(-128), 0, 0, 0, 255}, {p(-140), 0, 0, 0, 255},
		{p(127), 254, 254, 254, 254}, {1.5 * p(127), 254, 254, 254, 255}, {1.2 * p(127), 254, 254, 254, 254},
		{p(128), 254, 254, 254, 255}, {math.Inf(1), 254, 254, 254, 255}, {math.NaN(), 255, 255, 255, 255}, {-1, 255, 255, 255, 255},
	} {
		require.Equal(t, c.up, F8E8M0Of(c.x, true, RoundUp), "%v", c.x)
		require.Equal(t, c.down, F8E8M0Of(c.x, true, RoundDown), "%v", c.x)
		require.Equal(t, c.nearest, F8E8M0Of(c.x, true, RoundNearest), "%v", c.x)
		require.Equal(t, c.off, F8E8M0Of(c.x, false, RoundNearest), "%v", c.x)
	}
	for s, want := range map[string]RoundMode{"up": RoundUp, "down": RoundDown, "nearest": RoundNearest} {
		m, ok := ParseRoundMode(s)
		require.True(t, ok)
		require.Equal(t, want, m)
	}
	_, ok := ParseRoundMode("sideways")
	require.False(t, ok)
}

func TestHalf(t *testing.T) {
	f16 := func(c uint32) float64 { // by the definition
		exp, man := int(c>>10), float64(c&1023)
		switch exp {
		case 0:
			return math.Ldexp(man, -24)
		case 31:
			return math.NaN()
		}
		return math.Ldexp(1024+man, exp-25)
	}
	bf16 := func(c uint32) float64 {
		exp, man := int(c>>7), float64(c&127)
		switch exp {
		case 0:
			return math.Ldexp(man, -133)
		case 255:
			return math.NaN()
		}
		return math.Ldexp(128+man, exp-134)
	}
	for _, c := range []struct {
		name  string
		codes int
		inf   uint32
		value func(uint32) float64
		wide  func(uint32) float64
		of32  func(float32) uint32
		of64  func(float64) uint32
	}{
		{"float16", 0x8000, 0x7c00, f16, func(c uint32) float64 { return F16(c).Float64() },
			func(x float32) uint32 { return uint32(F16Of(x)) }, func(x float64) uint32 { return uint32(F16Of64(x)) }},
		{"bfloat16", 0x8000, 0x7f80, bf16, func(c uint32) float64 { return BF16(c).Float64() },
			func(x float32) uint32 { return uint32(BF16Of(x)) }, func(x float64) uint32 { return uint32(BF16Of64(x)) }},
	} {
		for code := range uint32(0x10000) {
			want := c.value(code & 0x7fff)
			if code&0x7fff == c.inf {
				want = math.Inf(1)
			}
			if code&0x8000 != 0 {
				want = -want
			}
			got := c.wide(code)
			if !(want != want && got != got || same(got, want)) {
				t.Fatalf("%s %#x: %v, want %v", c.name, code, got, want)
			}
			if got == got && (c.of64(got) != code || c.of32(float32(got)) != code) {
				t.Fatalf("%s %#x: back to %#x, %#x", c.name, code, c.of64(got), c.of32(float32(got)))
			}
			if got != got && (!math.IsNaN(c.wide(c.of32(float32(got)))) || !math.IsNaN(c.wide(c.of64(got)))) {
				t.Fatalf("%s %#x: NaN is lost", c.name, code)
			}
		}
		r := newNearest(c.codes, c.value)
		for _, x := range append(r.samples(), math.Inf(1)) {
			code, in := r.round(x)
			if !in {
				code = c.inf
			}
			if got := c.of64(x); got != code {
				t.Fatalf("%s of %v: %#x, want %#x", c.name, x, got, code)
			}
			if got := c.of64(-x); got != code|0x8000 {
				t.Fatalf("%s of %v: %#x, want %#x", c.name, -x, got, code|0x8000)
			}
			y := float32(x)
			if code, in = r.round(float64(y)); !in {
				code = c.inf
			}
			if got := c.of32(y); got != code {
				t.Fatalf("%s of float32 %v: %#x, want %#x", c.name, y, got, code)
			}
		}
		// 1 + half a step + a bit below float32's precision: through float32 it would round to even, down.
		step := c.wide(c.of64(1)+1) - 1
		require.Equal(t, c.of64(1)+1, c.of64(1+step/2+1e-12))
	}
}

func TestWidenNarrow(t *testing.T) {
	src := []float32{0, 1, -1.5, 4, 0.5}
	for d := DType(1); d < NumDTypes; d++ {
		dst := New(d, len(src))
		if !d.IsFloat() {
			require.Panics(t, func() { Widen(dst) }, "%v", d)
			require.Panics(t, func() { Narrow(dst, Of(src)) }, "%v", d)
			continue
		}
		Narrow(dst, Of(src))
		want := src
		if d == Float8E8M0 {
			want = []float32{float32(math.Ldexp(1, -127)), 1, float32(math.NaN()), 4, 0.5}
		}
		require.NoError(t, Compare(Widen(dst), Of(want), Tolerance{}), "%v", d)
		part := make([]float32, 3)
		WidenTo(part, dst, 1)
		require.NoError(t, Compare(Of(part), Of(want[1:4]), Tolerance{}), "%v", d)
		NarrowFrom(dst, 3, []float32{2, 2})
		want = append(append([]float32{}, want[:3]...), 2, 2)
		require.NoError(t, Compare(Widen(dst), Of(want), Tolerance{}), "%v", d)
	}
	big := Of([]F8E4M3FN{0})
	Narrow(big, Of([]float32{1e9}))
	require.Equal(t, float32(448), Widen(big).At(0))
}
