package half

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

func levels(t *testing.T, f func(t *testing.T)) {
	for _, level := range cpu.Levels() {
		t.Run(level, func(t *testing.T) {
			restore, err := cpu.Force(level)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			f(t)
		})
	}
}

// TestConvert holds every half, and floats between them, against arithmetic.
func TestConvert(t *testing.T) {
	all := make([]uint16, 1<<16)
	for i := range all {
		all[i] = uint16(i)
	}
	levels(t, func(t *testing.T) {
		for _, k := range []Kind{Float16, BFloat16} {
			wide, back := make([]float32, len(all)), make([]uint16, len(all))
			Widen(k, wide, all)
			Narrow(k, back, wide)
			for i, h := range all {
				exp, man, bias, bits := int(h>>10&31), float64(h&0x3ff), 15, 10
				if k == BFloat16 {
					exp, man, bias, bits = int(h>>7&255), float64(h&0x7f), 127, 7
				}
				last := exp == 31 && k == Float16 || exp == 255
				v := float64(wide[i])
				if last && man != 0 {
					if v == v || back[i]&^0x8000 <= h&0x7c00&0x7f80 {
						t.Fatalf("kind %d: %#x is %g and then %#x, want NaN", k, h, v, back[i])
					}
					continue
				}
				want := math.Inf(1)
				if !last {
					want = math.Ldexp(man, max(exp, 1)-bias-bits)
					if exp > 0 {
						want += math.Ldexp(1, exp-bias)
					}
				}
				if h>>15 == 1 {
					want = -want
				}
				if v != want || math.Signbit(v) != (h>>15 == 1) || back[i] != h {
					t.Fatalf("kind %d: %#x is %g and then %#x, want %g", k, h, v, back[i], want)
				}
				// Between two neighbours: to the nearer, and to the even one of two as near.
				if next := h + 1; !last && h>>15 == 0 && !math.IsInf(float64(wide[next]), 0) {
					mid := (v + float64(wide[next])) / 2
					even := h + h&1
					in := []float32{float32(mid), math.Nextafter32(float32(mid), 0), math.Nextafter32(float32(mid), math.MaxFloat32)}
					if float64(in[0]) != mid {
						continue
					}
					var out [3]uint16
					Narrow(k, out[:], in)
					if out != [3]uint16{even, h, next} {
						t.Fatalf("kind %d: %g, below and above are %#x, want %#x, %#x, %#x", k, mid, out, even, h, next)
					}
				}
			}
			var out [2]uint16
			if Narrow(k, out[:], []float32{math.MaxFloat32, float32(math.Inf(-1))}); out != [2]uint16{[]uint16{0x7c00, 0x7f80}[k], []uint16{0xfc00, 0xff80}[k]} {
				t.Errorf("kind %d: too large gives %#x", k, out)
			}
			for n := range 40 {
				dst, src := make([]float32, n+1), make([]uint16, n+1)
				dst[n], src[n] = 7, 7
				Widen(k, dst[:n], all[1000:1000+n])
				Narrow(k, src[:n], dst[:n])
				if dst[n] != 7 || src[n] != 7 || n > 0 && src[n-1] != all[1000+n-1] {
					t.Fatalf("kind %d: %d elements", k, n)
				}
			}
		}
	})
}

func TestRun(t *testing.T) {
	levels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		for _, d := range [][3]int{{1, 5, 3}, {1, 800, 70}, {3, 33, 64}, {4, 20, 33}, {20, 1600, 100}, {2, 0, 5}} {
			m, k, n := d[0], d[1], d[2]
			for mix := range 8 {
				kind := Kind(mix & 1)
				b, wide := make([]uint16, k*n), make([]float32, k*n)
				a, y, want := make([]float32, m*k), make([]float32, m*n+1), make([]float32, m*n)
				for i := range wide {
					wide[i] = float32(r.NormFloat64())
				}
				Narrow(kind, b, wide)
				Widen(kind, wide, b)
				for i := range a {
					a[i] = float32(r.NormFloat64())
				}
				col, add := make([]float32, n), make([]float32, m*n)
				for i := range add {
					add[i], col[i%n] = float32(i), 0.5*float32(i%n)
				}
				g := gemm.Args[float32]{M: m, N: n, K: k, A: a, ARS: k, ACS: 1, LDC: n}
				if mix&2 > 0 {
					g.Col, g.Add, g.LDAdd = col, add, n
				}
				if mix&4 > 0 {
					g.Scale = 0.5
					g.Act = func(c []float32) {
						for i := range c {
							c[i] = max(c[i], 0)
						}
					}
				}
				ref := g
				ref.B, ref.BRS, ref.BCS, ref.C = wide, n, 1, want
				gemm.Run(par.P{}, &ref)
				y[m*n] = 7
				g.C = y[:m*n]
				Pack(par.P{}, kind, b, k, n, n, 1).Run(par.P{Threads: 2}, &g)
				for i, v := range want {
					if math.Abs(float64(y[i]-v)) > 1e-4*(1+math.Abs(float64(v))) {
						t.Fatalf("%v mix %d: y[%d] is %g, want %g", d, mix, i, y[i], v)
					}
				}
				if y[m*n] != 7 {
					t.Fatalf("%v mix %d: wrote outside", d, mix)
				}
			}
		}
	})
}
