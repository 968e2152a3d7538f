package ops

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestMod32 holds remainders of float32 against package math, bit by bit.
func TestMod32(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	some := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 0.1, 3, float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()), 1e-45, -1e-45, math.MaxFloat32,
		1 << 24, 1<<24 + 2, -1<<24 - 2, math.Nextafter32(1, 2), math.Nextafter32(1, 0)}
	draw := func() float32 {
		switch r.IntN(4) {
		case 0:
			return some[r.IntN(len(some))]
		case 1:
			return math.Float32frombits(r.Uint32())
		case 2:
			return float32(r.IntN(1<<25) - 1<<24)
		}
		return float32(r.NormFloat64())
	}
	check := func(x, y float32) {
		got, want := mod32(float64(x), float64(y)), math.Mod(float64(x), float64(y))
		if math.Float64bits(got) != math.Float64bits(want) && (got == got || want == want) {
			t.Fatalf("%g mod %g is %g, want %g", x, y, got, want)
		}
	}
	for range 300_000 {
		x, y := draw(), draw()
		check(x, y)
		whole := float32(r.IntN(1 << 25)) // near whole quotients
		check(math.Nextafter32(whole*y, 0), y)
		check(math.Nextafter32(whole*y, x), y)
		check(whole*y, y)
	}
}
