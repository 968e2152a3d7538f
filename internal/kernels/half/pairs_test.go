package half

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

// Products of pairs are those of the rounded factors.
func TestPairs(t *testing.T) {
	levels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(5, 6))
		round := func(s []float32) []float32 {
			h, out := make([]uint16, len(s)), make([]float32, len(s))
			Narrow(BFloat16, h, s)
			Widen(BFloat16, out, h)
			return out
		}
		sizes := [][3]int{{1, 1, 1}, {1, 5, 3}, {3, 401, 40}, {14, 33, 64}, {15, 20, 33}, {2, 0, 5}}
		if HasPairs() { // several tasks; the routine in Go would take long
			sizes = append(sizes, [3]int{130, 1601, 100}, [3]int{40, 64, 2000})
		}
		for _, d := range sizes {
			m, k, n := d[0], d[1], d[2]
			for mix := range 16 {
				a, b, col, add := make([]float32, m*(k+3)), make([]float32, k*n), make([]float32, n), make([]float32, m*n)
				for _, s := range [][]float32{a, b, col, add} {
					for i := range s {
						s[i] = float32(r.NormFloat64())
					}
				}
				g := gemm.Args[float32]{M: m, N: n, K: k, A: a, ARS: k + 3, ACS: 1, LDC: n}
				g.Acc = mix&8 > 0
				if mix&4 > 0 {
					g.ARS, g.ACS = 1, m
				}
				if mix&2 > 0 {
					g.Col, g.Add, g.LDAdd, g.Row = col, add, n, add[:m]
					g.Scale = 0.5
					g.Act = func(c []float32) {
						for i := range c {
							c[i] = max(c[i], 0)
						}
					}
				}
				rs, cs := n, 1
				if mix&1 > 0 {
					rs, cs = 1, k
				}
				want := slices.Clone(add)
				y := append(slices.Clone(add), 7)
				ref := g
				ref.A, ref.B, ref.BRS, ref.BCS, ref.C = round(a), round(b), rs, cs, want
				gemm.Run(par.P{}, &ref)
				g.C = y[:m*n]
				w := PackPairs(par.P{Threads: 2}, b, k, n, rs, cs)
				w.Run(par.P{Threads: 2}, &g)
				for i, v := range want {
					if math.Abs(float64(y[i]-v)) > 2e-4*(1+math.Abs(float64(v))) {
						t.Fatalf("%v mix %d: y[%d] is %g, want %g", d, mix, i, y[i], v)
					}
				}
				if y[m*n] != 7 {
					t.Fatalf("%v mix %d: wrote outside", d, mix)
				}
				if mix&8 == 0 {
					first := slices.Clone(y)
					w.Run(par.P{Threads: 1}, &g)
					if !slices.Equal(first, y) {
						t.Fatalf("%v mix %d: the result depends on the number of threads", d, mix)
					}
				}
			}
		}
	})
}

func BenchmarkPairs(b *testing.B) {
	const m, k, n = 128, 768, 768
	a, w, c := make([]float32, m*k), make([]float32, k*n), make([]float32, m*n)
	g := gemm.Args[float32]{M: m, N: n, K: k, A: a, ARS: k, ACS: 1, C: c, LDC: n}
	pairs := PackPairs(par.P{}, w, k, n, n, 1)
	for b.Loop() {
		pairs.Run(par.P{Threads: 1}, &g)
	}
	b.ReportMetric(m*k*n*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GMAC/s")
}
