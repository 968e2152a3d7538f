package ops

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// TestUnitsInTheLastPlace holds functions of float32 against those of package math, over all exponents.
func TestUnitsInTheLastPlace(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	inf := float32(math.Inf(1))
	x := []float32{0, float32(math.Copysign(0, -1)), 1, -1, inf, -inf, float32(math.NaN()), math.MaxFloat32, -math.MaxFloat32, 5e-45, -5e-45,
		nearZero, -nearZero, math.Nextafter32(1, 2), math.Nextafter32(1, 0), -math.Nextafter32(1, 0), 1e-3 - 1e-9}
	for range 100_000 {
		x = append(x, math.Float32frombits(r.Uint32()), float32(r.NormFloat64()), float32(1+r.ExpFloat64()), float32(r.Float64()*2-1),
			1-float32(r.Float64()*1e-3), 1+float32(r.Float64()*1e-3))
	}
	for _, table := range vec.Tables {
		for name, f := range map[string]struct {
			loop loop[float32, float32]
			want func(float64) float64
		}{"asinh": {asinhLoop(table), math.Asinh}, "acosh": {acoshLoop(table), math.Acosh}, "atanh": {atanhLoop(table), math.Atanh}} {
			y := append([]float32{}, x...)
			f.loop(y, y)
			for i, v := range y {
				want := f.want(float64(x[i]))
				w := float32(want)
				switch {
				case w != w && v != v, v == w && math.Signbit(float64(v)) == math.Signbit(float64(w)):
					continue
				case w-w != 0 || v-v != 0 || w == 0:
					t.Fatalf("%s: %s of %g is %g, want %g", table.Name, name, x[i], v, w)
				}
				a := float32(math.Abs(float64(w)))
				if unit := float64(math.Nextafter32(a, inf) - a); math.Abs(float64(v)-want) > 3*unit {
					t.Fatalf("%s: %s of %g is %g, want %g: %g units", table.Name, name, x[i], v, want, (float64(v)-want)/unit)
				}
			}
		}
	}
}
