package gemm

import (
	"fmt"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
)

// TestStep compares Step, as a whole and in pieces, with the sums.
func TestStep(t *testing.T) {
	for _, table := range Tables {
		for _, s := range []struct{ m, n, k int }{{1, 384, 128}, {1, 33, 7}, {2, 256, 500}, {3, 96, 1}, {4, 400, 100}, {7, 64, 64}, {13, 130, 200}, {16, 64, 100}, {32, 160, 256}, {1, 32, 0}} {
			t.Run(fmt.Sprintf("%s/%dx%dx%d", table.Name, s.m, s.n, s.k), func(t *testing.T) {
				a, b := make([]float32, s.m*s.k), make([]float32, s.k*s.n)
				for i := range a {
					a[i] = float32(i%7 - 3)
				}
				for i := range b {
					b[i] = float32(i%11 - 5)
				}
				pb := Pack(par.P{}, b, s.k, s.n, s.n, 1)
				panels := Panels(s.n)
				ldc := panels*Panel + 5
				for _, down := range []bool{false, true} {
					c := make([]float32, s.m*ldc)
					for i := range c {
						c[i] = 99
					}
					mid := panels / 2
					Step(table, pb, s.m, a, s.k, c, ldc, 0, mid, down)
					Step(table, pb, s.m, a, s.k, c, ldc, mid, panels, down)
					for i := range s.m {
						for j := range s.n {
							want := float32(0)
							for k := range s.k {
								want += a[i*s.k+k] * b[k*s.n+j]
							}
							if got := c[i*ldc+j]; got != want {
								t.Fatalf("down %t: (%d, %d) is %g, want %g", down, i, j, got, want)
							}
						}
						for j := panels * Panel; j < ldc && i < s.m; j++ {
							if c[i*ldc+j] != 99 {
								t.Fatalf("wrote behind the panels of row %d", i)
							}
						}
					}
				}
			})
		}
	}
}
