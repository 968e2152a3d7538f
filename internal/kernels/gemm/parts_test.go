package gemm

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/par"
)

// A transposed A that is taken by parts gives what the same A by rows gives, bit for bit.
func TestTransposedParts(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	fill := func(n int) []float32 {
		s := make([]float32, n)
		for i := range s {
			s[i] = float32(r.NormFloat64())
		}
		return s
	}
	const n, k = 35, 9000
	for _, m := range []int{65, 117, 234, 301} {
		at, b, row, add := fill(m*k), fill(k*n), fill(m), fill(m*n)
		a := make([]float32, m*k)
		transpose(par.P{}, a, k, at, m, k, 1, m)
		for _, table := range Tables {
			args := func(c []float32) Args[float32] {
				return Args[float32]{M: m, N: n, K: k, A: a, ARS: k, ACS: 1, B: b, BRS: n, BCS: 1, C: c, LDC: n,
					Epilogue: Epilogue[float32]{Row: row, Add: add, LDAdd: n, Scale: 0.5}, Table: table}
			}
			want, got := make([]float32, m*n), make([]float32, m*n)
			g := args(want)
			Run(par.P{}, &g)
			g = args(got)
			g.A, g.ARS, g.ACS = at, 1, m
			require.Equal(t, (m+115)/116, g.transposedParts())
			Run(par.P{Threads: 2}, &g)
			require.Equal(t, want, got, "%s, %d rows", table.Name, m)
		}
	}
}
