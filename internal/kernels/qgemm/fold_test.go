package qgemm

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/par"
)

// TestFewColumns has matrices whose rows are joined, all kinds of zero points, among them
// those that take up to three segments, and rows that are left over.
func TestFewColumns(t *testing.T) {
	eachTable(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(9, 9))
		for _, d := range [][3]int{{leastFolded, 4, 4}, {leastFolded + 5, 1, 1}, {leastFolded + 1, 9, 1}, {leastFolded + 3, 3, 5}, {700, 16, 8}, {700, 32, 3}, {700, 7, 8}, {700, 6, 7}} {
			for mix := range 4 {
				for kind := range 5 {
					m, k, n := d[0], d[1], d[2]
					as, bs := mix&1 == 1, mix&2 == 2
					a, b := randomBytes(rng, m*k), randomBytes(rng, k*n)
					za, bias := int32(rng.IntN(256)), randomZeros(rng, n)
					zb := []int32{int32(rng.IntN(256))}
					switch kind {
					case 1:
						zb = []int32{0}
					case 2:
						zb = []int32{255}
					case 3:
						zb = []int32{128}
					case 4:
						zb = randomZeros(rng, n)
					}
					if bs || kind == 4 {
						za -= 128
						if bs && kind < 4 {
							zb[0] -= 128
						}
					}
					r := Pack(par.P{}, b, k, n, n, 1, bs).Narrow()
					f := &Finish{Zero: 3, Lo: 0, Hi: 255}
					scale, shift := make([]float32, n), make([]float32, Width)
					for j := range scale {
						scale[j], shift[j] = rng.Float32()/float32(k)/30, rng.Float32()
					}
					f.SetZeros(r, k, za, zb, bias)
					ints, bytes, floats := make([]int32, m*n), make([]byte, m*n), make([]float32, m*n)
					l := Left{M: m, K: k, Data: a, Signed: as}
					p := par.P{Threads: 1 + kind%2}
					f.Product(p, l, r, nil, nil, ints)
					f.SetScale(scale, n, 1)
					f.Product(p, l, r, bytes, nil, nil)
					f.Shift = shift
					f.Product(p, l, r, nil, floats, nil)
					for i := range ints {
						j, s := i%n, bias[i%n]
						for x := range k {
							u := int32(a[i/n*k+x])
							if as {
								u ^= 0x80
							}
							s += (u - za) * (value(b[x*n+j], bs) - zeroAt(zb, j))
						}
						if ints[i] != s {
							t.Fatalf("%v mix %d kind %d: the sum [%d, %d] is %d, want %d", d, mix, kind, i/n, j, ints[i], s)
						}
						if want := byte(min(max(int32(math.RoundToEven(float64(float32(s)*scale[j])))+3, 0), 255)); bytes[i] != want {
							t.Fatalf("%v mix %d kind %d: [%d, %d] is %d, want %d", d, mix, kind, i/n, j, bytes[i], want)
						}
						if want := float32(float32(s)*scale[j]) + shift[j]; math.Abs(float64(floats[i]-want)) > 1e-6*math.Abs(float64(want))+1e-6 {
							t.Fatalf("%v mix %d kind %d: [%d, %d] is %v, want %v", d, mix, kind, i/n, j, floats[i], want)
						}
					}
				}
			}
		}
	})
}

func BenchmarkFewColumns(b *testing.B) {
	for _, tab := range Tables {
		for _, d := range [][3]int{{38416, 4, 4}, {4096, 16, 4}, {4096, 32, 8}, {4096, 32, 4}, {4096, 8, 8}, {4096, 9, 1}, {512, 4, 4}, {512, 32, 8}} {
			for _, kind := range []string{"int8", "uint8"} {
				b.Run(fmt.Sprintf("%s/%dx%dx%d/%s", tab.Name, d[0], d[1], d[2], kind), func(b *testing.B) {
					restore, _ := cpu.Force(tab.Name)
					defer restore()
					m, k, n := d[0], d[1], d[2]
					rng := rand.New(rand.NewPCG(1, 1))
					r := Pack(par.P{}, randomBytes(rng, k*n), k, n, n, 1, kind == "int8").Narrow()
					f := &Finish{Hi: 255}
					f.SetScale([]float32{0.01}, n, 1)
					zb := int32(0)
					if kind == "uint8" {
						zb = 135
					}
					f.SetZeros(r, k, 3, []int32{zb}, nil)
					a, y := Left{M: m, K: k, Data: make([]byte, m*k)}, make([]byte, m*n)
					best := time.Hour // others may use the machine too
					for b.Loop() {
						begin := time.Now()
						f.Product(par.P{}, a, r, y, nil, nil)
						best = min(best, time.Since(begin))
					}
					b.ReportMetric(best.Seconds()*1e9/float64(m), "ns/row")
				})
			}
		}
	}
}
