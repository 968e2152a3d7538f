package vec_test

import (
	"math"
	"testing"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// TestAdam compares steps with the same step by vectors, bit for bit, for numbers of
// elements around the widths of vectors; what lies behind stays.
func TestAdam(t *testing.T) {
	rates := vec.AdamRates{B1: 0.9, A1: 0.1, B2: 0.999, A2: 0.001, Correct: 31.6, Eps: 1e-8, Rate: 0.01, Keep: 1}
	decayed := rates
	decayed.Decay, decayed.Keep = 0.25, 0.75
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, table := range vec.Tables {
		if table.Adam == nil {
			continue
		}
		for _, r := range []*vec.AdamRates{&rates, &decayed} {
			for _, n := range []int{1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 100, 2047, 2049, 5000} {
				fill := func(seed float64) []float32 {
					x := make([]float32, n)
					for i := range x {
						x[i] = float32(math.Sin(seed + 1.7*float64(i) + 0.001*float64(i)*float64(i)))
					}
					return x
				}
				w, g, m, v := fill(1), fill(2), fill(3), fill(4)
				for i := range v {
					v[i] *= v[i]
				}
				w[0], g[n/2], v[n-1] = float32(math.Copysign(0, -1)), float32(math.Copysign(0, -1)), 0
				if n > 5 {
					w[1], w[2], g[3], g[4], m[5] = inf, nan, -inf, nan, inf
				}
				const scale = 0.5
				d, e, w2, m2, v2 := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
				table.MulScalar(d, g, scale)
				if r.Decay != 0 {
					table.MulScalar(e, w, r.Decay)
					table.Add(d, d, e)
				}
				table.MulScalar(m2, m, r.B1)
				table.MulScalar(e, d, r.A1)
				table.Add(m2, m2, e)
				table.Square(d, d)
				table.MulScalar(d, d, r.A2)
				table.MulScalar(v2, v, r.B2)
				table.Add(v2, v2, d)
				table.Sqrt(d, v2)
				table.Affine(d, d, r.Correct, r.Eps)
				table.Div(d, m2, d)
				table.MulScalar(d, d, r.Rate)
				table.MulScalar(e, w, r.Keep)
				table.Sub(w2, e, d)

				room := func(src []float32) []float32 { return append(append(make([]float32, 0, n+1), src...), 77) }
				gotW, gotM, gotV := room(w), room(m), room(v)
				table.Adam(gotW[:n], gotW[:n], g, gotM[:n], gotM[:n], gotV[:n], gotV[:n], scale, r)
				for k, x := range [][2][]float32{{gotW, w2}, {gotM, m2}, {gotV, v2}} {
					for i, want := range x[1] {
						if got := x[0][i]; math.Float32bits(got) != math.Float32bits(want) && !(got != got && want != want) {
							t.Fatalf("%s, %d elements, decay %v: element %d of %s is %v, want %v", table.Name, n, r.Decay, i, []string{"w", "m", "v"}[k], got, want)
						}
					}
					if x[0][n] != 77 {
						t.Fatalf("%s, %d elements: wrote behind the last", table.Name, n)
					}
				}
			}
		}
	}
}
