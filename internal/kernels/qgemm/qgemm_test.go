package qgemm

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
)

func value(b byte, signed bool) int32 {
	if signed {
		return int32(int8(b))
	}
	return int32(b)
}

func TestMul(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	bytes := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	zeros := func(n int) []int32 {
		z := make([]int32, n)
		for i := range z {
			z[i] = int32(rng.IntN(128))
		}
		return z
	}
	for _, d := range [][3]int{{1, 1, 1}, {1, 5, 8}, {3, 7, 9}, {2, 0, 3}, {0, 2, 2}, {33, 65, 17}, {70, 16, 40}, {1, 70000, 3}} {
		m, k, n := d[0], d[1], d[2]
		for mix := range 4 {
			as, bs := mix&1 == 1, mix&2 == 2
			for _, za := range [][]int32{nil, zeros(1), zeros(m)} {
				for _, zb := range [][]int32{nil, zeros(1), zeros(n)} {
					a, b := bytes(m*k), bytes(k*n)
					for _, trans := range []bool{false, true} {
						rs, cs := n, 1
						if trans {
							rs, cs = 1, k
						}
						c := make([]int32, m*n)
						covered := make([]int, m*n)
						Mul(par.P{Threads: 1}, Left{M: m, K: k, Data: a, Signed: as, Zero: za}, Pack(b, k, n, rs, cs, bs), zb, c, n,
							func(i0, i1, j0, j1 int) {
								for i := i0; i < i1; i++ {
									for j := j0; j < j1; j++ {
										covered[i*n+j]++
									}
								}
							})
						for i := range m {
							for j := range n {
								want := int32(0)
								for p := range k {
									x, y := value(a[i*k+p], as), value(b[p*rs+j*cs], bs)
									if len(za) > 0 {
										x -= za[i%len(za)]
									}
									if len(zb) > 0 {
										y -= zb[j%len(zb)]
									}
									want += x * y
								}
								if got := c[i*n+j]; got != want || covered[i*n+j] != 1 {
									t.Fatalf("%v mix %d: c[%d,%d] = %d (%d times), want %d", d, mix, i, j, got, covered[i*n+j], want)
								}
							}
						}
					}
				}
			}
		}
	}
}

func TestMulExtremes(t *testing.T) {
	const k = 66000 // above what half an accumulator holds at once
	a, b := make([]byte, k), make([]byte, k)
	for i := range a {
		a[i], b[i] = 255, 255
	}
	c := make([]int32, 1)
	Mul(par.P{}, Left{M: 1, K: k, Data: a}, Pack(b, k, 1, 1, 1, false), nil, c, 1, nil)
	big := int64(k) * 255 * 255
	if want := int32(big); c[0] != want { // wraps
		t.Fatalf("got %d, want %d", c[0], want)
	}
}

func BenchmarkMul(b *testing.B) {
	for _, d := range [][3]int{{1, 768, 768}, {128, 768, 768}} {
		b.Run(fmt.Sprintf("%dx%dx%d", d[0], d[1], d[2]), func(b *testing.B) {
			m, k, n := d[0], d[1], d[2]
			r := Pack(make([]byte, k*n), k, n, n, 1, true)
			l := Left{M: m, K: k, Data: make([]byte, m*k)}
			c := make([]int32, m*n)
			for b.Loop() {
				Mul(par.P{}, l, r, nil, c, n, nil)
			}
			b.ReportMetric(float64(m*k*n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
		})
	}
}
