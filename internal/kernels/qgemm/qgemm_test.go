package qgemm

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/par"
)

// eachTable runs f with each table in force.
func eachTable(t *testing.T, f func(t *testing.T)) {
	for _, tab := range Tables {
		t.Run(tab.Name, func(t *testing.T) {
			restore, err := cpu.Force(tab.Name)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			if Best() != tab {
				t.Fatalf("table %s is used", Best().Name)
			}
			f(t)
		})
	}
}

func value(b byte, signed bool) int32 {
	if signed {
		return int32(int8(b))
	}
	return int32(b)
}

// randomBytes returns n bytes, many of them extreme.
func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		switch v := rng.Uint32(); v % 8 {
		case 0:
			b[i] = 0x7f
		case 1:
			b[i] = 0x80
		case 2:
			b[i] = 0xff
		default:
			b[i] = byte(v >> 8)
		}
	}
	return b
}

func randomZeros(rng *rand.Rand, n int) []int32 {
	z := make([]int32, n)
	for i := range z {
		z[i] = int32(rng.IntN(256) - 128)
	}
	return z
}

func TestMul(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 2))
		for _, d := range [][3]int{{1, 1, 1}, {1, 5, 8}, {3, 7, 33}, {2, 0, 3}, {0, 2, 2}, {2, 3, 0}, {33, 65, 70}, {130, 16, 40}, {1, 9000, 3}, {15, 4097, 17}} {
			for mix := range 4 {
				m, k, n := d[0], d[1], d[2]
				a, b := randomBytes(rng, m*k), randomBytes(rng, k*n)
				if rng.IntN(2) == 0 {
					b = mildBytes(rng, k, n, mix&2 == 2)
				}
				for _, za := range [][]int32{nil, randomZeros(rng, 1), randomZeros(rng, m)} {
					for _, zb := range [][]int32{nil, randomZeros(rng, 1), randomZeros(rng, n)} {
						for _, trans := range []bool{false, true} {
							for _, threads := range []int{1, 3} {
								checkMul(t, par.P{Threads: threads}, m, k, n, a, b, mix&1 == 1, mix&2 == 2, za, zb, trans)
							}
						}
					}
				}
			}
		}
	})
}

func checkMul(t *testing.T, p par.P, m, k, n int, a, b []byte, as, bs bool, za, zb []int32, trans bool) {
	t.Helper()
	rs, cs := n, 1
	if trans {
		rs, cs = 1, k
	}
	ldc := n + 3
	const canary = 0x5ca1ab1e
	c := make([]int32, (m+1)*ldc)
	for i := range c {
		c[i] = canary
	}
	covered := make([]int32, m*n)
	Mul(p, Left{M: m, K: k, Data: a, Signed: as, Zero: za}, Pack(p, b, k, n, rs, cs, bs).Narrow(), zb, c, ldc,
		func(i0, i1, j0, j1 int) {
			for i := i0; i < i1; i++ {
				for j := j0; j < j1; j++ {
					covered[i*n+j]++
				}
			}
		})
	for i := range c {
		row, j := i/ldc, i%ldc
		want := int32(canary)
		if row < m && j < n {
			want = 0
			for x := range k {
				u, v := value(a[row*k+x], as), value(b[x*rs+j*cs], bs)
				if len(za) > 0 {
					u -= za[row%len(za)]
				}
				if len(zb) > 0 {
					v -= zb[j%len(zb)]
				}
				want += u * v
			}
			if covered[row*n+j] != 1 {
				t.Fatalf("%dx%dx%d: c[%d,%d] is done %d times", m, k, n, row, j, covered[row*n+j])
			}
		}
		if c[i] != want {
			t.Fatalf("%dx%dx%d signed %v %v: c[%d,%d] = %d, want %d", m, k, n, as, bs, row, j, c[i], want)
		}
	}
}

// TestTile compares every tile with the definition, with memory around the
// result that must not change.
func TestTile(t *testing.T) {
	for _, tab := range Tables {
		rng := rand.New(rand.NewPCG(3, 4))
		for rows := 1; rows <= tab.MR; rows++ {
			for w := 1; w <= Width; w++ {
				for _, kg := range []int{1, 3, 4, 5, 9} {
					lda, ldc := kg*4+3, w+5
					a, b := randomBytes(rng, rows*lda+8), randomBytes(rng, kg*4*Width)
					c := make([]int32, (rows+2)*ldc)
					for i := range c {
						c[i] = int32(rng.Uint32())
					}
					want := append([]int32(nil), c...)
					for i := range rows {
						for j := range w {
							for x := range kg * 4 {
								want[(i+1)*ldc+j] += (int32(a[i*lda+x]) - tab.Less) * int32(int8(b[x/4*4*Width+j*4+x%4]))
							}
						}
					}
					tab.Tile(rows, kg, unsafe.Pointer(&a[0]), lda, unsafe.Pointer(&b[0]), unsafe.Pointer(&c[ldc]), ldc, w)
					for i := range c {
						if c[i] != want[i] {
							t.Fatalf("%s: %d rows, %d columns, %d groups: element %d of row %d is %d, want %d", tab.Name, rows, w, kg, i%ldc, i/ldc-1, c[i], want[i])
						}
					}
				}
			}
		}
	}
}

func TestMulExtremes(t *testing.T) {
	const k = 66000 // above what 32 bits hold
	eachTable(t, func(t *testing.T) {
		for _, v := range [][2]byte{{255, 255}, {255, 127}, {255, 128}, {128, 128}} {
			for mix := range 4 {
				as, bs := mix&1 == 1, mix&2 == 2
				a, b := make([]byte, k), make([]byte, k)
				for i := range a {
					a[i], b[i] = v[0], v[1]
				}
				c := make([]int32, 1)
				Mul(par.P{}, Left{M: 1, K: k, Data: a, Signed: as}, Pack(par.P{}, b, k, 1, 1, 1, bs).Narrow(), nil, c, 1, nil)
				sum := int64(k) * int64(value(v[0], as)) * int64(value(v[1], bs))
				if want := int32(sum); c[0] != want { // wraps
					t.Fatalf("%v: got %d, want %d", v, c[0], want)
				}
			}
		}
	})
}

func BenchmarkMul(b *testing.B) {
	for _, tab := range Tables {
		for _, d := range [][3]int{{1, 768, 768}, {128, 768, 768}} {
			b.Run(fmt.Sprintf("%s/%dx%dx%d", tab.Name, d[0], d[1], d[2]), func(b *testing.B) {
				restore, _ := cpu.Force(tab.Name)
				defer restore()
				m, k, n := d[0], d[1], d[2]
				r := Pack(par.P{}, make([]byte, k*n), k, n, n, 1, true).Narrow()
				l := Left{M: m, K: k, Data: make([]byte, m*k)}
				c := make([]int32, m*n)
				for b.Loop() {
					Mul(par.P{}, l, r, nil, c, n, nil)
				}
				b.ReportMetric(float64(m*k*n)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GMAC/s")
			})
		}
	}
}
