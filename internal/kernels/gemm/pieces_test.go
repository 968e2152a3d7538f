package gemm

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/stretchr/testify/require"
)

func TestPieces(t *testing.T) {
	testPieces[float32](t, 1e-4)
	testPieces[float64](t, 1e-11)
}

func testPieces[T float32 | float64](t *testing.T, eps float64) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, table := range Tables {
		for _, m := range []int{1, 5, 14, 40} {
			for _, w := range []int{1, 17, Panel} {
				const ars, rows = 700, 600
				a, b, c := make([]T, m*ars), make([]T, rows*Panel), make([]T, m*(w+3))
				for _, s := range [][]T{a, b, c} {
					for i := range s {
						s[i] = T(r.NormFloat64())
					}
				}
				pieces := []Piece{{3, 10, 500}, {690, 0, 10}, {0, 599, 1}}
				for _, acc := range []bool{false, true} {
					for n := range len(pieces) + 1 {
						want := make([]float64, len(c))
						for i := range c {
							want[i] = float64(c[i])
							if row, j := i/(w+3), i%(w+3); j < w {
								if !acc {
									want[i] = 0
								}
								for _, p := range pieces[:n] {
									for k := range p.K {
										want[i] += float64(a[row*ars+p.A+k]) * float64(b[(p.B+k)*Panel+j])
									}
								}
							}
						}
						Pieces(table, c, w+3, m, w, a, ars, b, pieces[:n], acc)
						for i := range c {
							require.InDelta(t, want[i], float64(c[i]), eps*30, "%s, %d rows, %d columns, %d pieces: element %d", table.Name, m, w, n, i)
						}
					}
				}
			}
		}
	}
	require.Panics(t, func() {
		Pieces(Best(), make([]T, 4), 4, 1, 4, make([]T, 4), 4, make([]T, 4*Panel), []Piece{{1, 0, 4}}, false)
	})
}

// Columns that are added to many short rows, and a function behind them, with rows that follow each
// other and rows that lie apart.
func TestShortRows(t *testing.T) {
	shortRows[float32](t)
	shortRows[float64](t)
}

func shortRows[T float32 | float64](t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for _, table := range Tables {
		for _, n := range []int{1, 2, 5, 16, 31, 32, 33, 40} {
			for _, gap := range []int{0, 3} {
				const m, k = 307, 6
				a, b, col := random[T](r, m*k), random[T](r, k*n), random[T](r, n)
				want, got := make([]T, m*(n+gap)), make([]T, m*(n+gap))
				g := Args[T]{M: m, N: n, K: k, A: a, ARS: k, ACS: 1, B: b, BRS: n, BCS: 1, C: want, LDC: n + gap, Table: table}
				Run(par.P{Threads: 1}, &g)
				for i := range m {
					for j := range n {
						want[i*(n+gap)+j] = 2 * (want[i*(n+gap)+j] + col[j])
					}
				}
				g.C, g.Col = got, col
				g.Act = func(c []T) {
					for i := range c {
						c[i] *= 2
					}
				}
				Run(par.P{Threads: 1}, &g)
				if !slices.Equal(got, want) {
					t.Errorf("%s, %T: %d columns, %d apart: the result differs", table.Name, a[0], n, n+gap)
				}
			}
		}
	}
}
