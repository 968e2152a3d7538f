package attn

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/par"
)

// guarded returns n random floats between canaries.
func guarded(r *rand.Rand, n int) []float32 {
	nan := float32(math.NaN())
	all := make([]float32, n+32)
	for i := range all {
		all[i] = nan
	}
	s := all[16 : 16+n : 16+n]
	for i := range s {
		s[i] = float32(r.NormFloat64())
	}
	return s
}

// intact reports whether the canaries around s are whole.
func intact(s []float32) bool {
	p := unsafe.Pointer(unsafe.SliceData(s))
	for i := 1; i <= 16; i++ {
		a, b := *(*float32)(unsafe.Add(p, -4*i)), *(*float32)(unsafe.Add(p, 4*(len(s)+i-1)))
		if a == a || b == b {
			return false
		}
	}
	return true
}

func view(data []float32, last bool, heads, length, size int) View {
	if last {
		return View{Data: data, B: heads * length * size, H: size, L: heads * size}
	}
	return View{Data: data, B: heads * length * size, H: length * size, L: size}
}

// naive computes a in float64 by the formula.
func naive(a *Args) []float64 {
	out := make([]float64, a.Batch*a.Heads*a.LQ*a.DV)
	for x := range a.Batch * a.Heads * a.LQ {
		b, h, i := x/a.LQ/a.Heads, x/a.LQ%a.Heads, x%a.LQ
		kv := h / (a.Heads / a.KVHeads)
		s := make([]float64, a.LK)
		most := math.Inf(-1)
		lo, hi := 0, a.LK
		if a.Span != nil {
			lo, hi = a.Span(b, i)
		}
		for j := range s {
			for e := range a.D {
				s[j] += float64(a.Q.Data[b*a.Q.B+h*a.Q.H+i*a.Q.L+e]) * float64(a.K.Data[b*a.K.B+kv*a.K.H+j*a.K.L+e])
			}
			s[j] *= a.Scale
			if a.Softcap > 0 {
				s[j] = a.Softcap * math.Tanh(s[j]/a.Softcap)
			}
			if m := a.Mask; m != nil {
				at := b*m.B + h*m.H + i*m.I + j
				switch {
				case j >= m.N || m.Keep != nil && !m.Keep[at]:
					s[j] = math.Inf(-1)
				case m.Add != nil:
					s[j] += float64(m.Add[at])
				}
			}
			if j < lo || j >= hi {
				s[j] = math.Inf(-1)
			}
			most = max(most, s[j])
		}
		if math.IsInf(most, -1) {
			continue
		}
		sum := 0.0
		if a.Sinks != nil {
			most = max(most, float64(a.Sinks[h]))
			sum = math.Exp(float64(a.Sinks[h]) - most)
		}
		for j := range s {
			s[j] = math.Exp(s[j] - most)
			sum += s[j]
		}
		for j, w := range s {
			if w == 0 {
				continue
			}
			for e := range a.DV {
				out[x*a.DV+e] += w / sum * float64(a.V.Data[b*a.V.B+kv*a.V.H+j*a.V.L+e])
			}
		}
	}
	return out
}

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

func TestRun(t *testing.T) {
	type sizes struct{ b, h, kv, lq, lk, d, dv int }
	var cases []sizes
	for _, d := range []int{1, 3, 8, 16, 17, 31, 32, 64, 80, 96, 100, 128, 200} {
		cases = append(cases, sizes{1, 2, 1, 17, 40, d, d}, sizes{1, 2, 2, 1, 67, d, d})
	}
	for _, l := range []int{1, 2, 15, 16, 31, 33, 57, 130} {
		cases = append(cases, sizes{2, 4, 2, l, l, 16, 24}, sizes{1, 3, 3, l, l + 390, 8, 5})
	}
	cases = append(cases, sizes{1, 4, 1, 1, 1, 8, 8}, sizes{1, 6, 2, 3, 1601, 8, 33}, sizes{1, 2, 2, 60, 801, 12, 70}, sizes{1, 1, 1, 20, 9, 0, 4})
	levels(t, func(t *testing.T) {
		for ci, z := range cases {
			r := rand.New(rand.NewPCG(uint64(ci), 7))
			for variant := range 12 {
				if z.lk > 400 && variant%4 > 1 && testing.Short() {
					continue
				}
				a := &Args{Batch: z.b, Heads: z.h, KVHeads: z.kv, LQ: z.lq, LK: z.lk, D: z.d, DV: z.dv, Scale: 0.7}
				last := variant%2 == 1
				a.Q, a.K = view(guarded(r, z.b*z.h*z.lq*z.d), last, z.h, z.lq, z.d), view(guarded(r, z.b*z.kv*z.lk*z.d), last, z.kv, z.lk, z.d)
				a.V = view(guarded(r, z.b*z.kv*z.lk*z.dv), last, z.kv, z.lk, z.dv)
				y := guarded(r, z.b*z.h*z.lq*z.dv)
				a.Y = View{Data: y, B: z.h * z.lq * z.dv, H: z.lq * z.dv, L: z.dv}
				switch variant / 2 {
				case 1:
					a.Span = func(b, i int) (int, int) { return 0, min(z.lk, i+1+max(0, z.lk-z.lq)+b) }
				case 2:
					a.Mask = &Mask{Add: guarded(r, z.h*z.lq*z.lk), H: z.lq * z.lk, I: z.lk, N: z.lk}
					for i := range a.Mask.Add {
						if r.IntN(3) == 0 {
							a.Mask.Add[i] = negInf
						}
					}
				case 3:
					n := max(1, z.lk-3)
					a.Mask = &Mask{Keep: make([]bool, z.b*z.lq*n), B: z.lq * n, I: n, N: n}
					for i := range a.Mask.Keep {
						a.Mask.Keep[i] = r.IntN(3) > 0
					}
					a.Sinks = guarded(r, z.h)
				case 4:
					a.Softcap = 1.5
					a.Span = func(b, i int) (int, int) { return max(0, i-5), min(z.lk, i+3) }
				case 5:
					a.Scale = 40 // weights of nearly 0
				}
				want := naive(a)
				for _, threads := range []int{1 + 2*(variant&1)} {
					for i := range y {
						y[i] = float32(math.NaN())
					}
					Run(par.P{Threads: threads}, a)
					for i, v := range y {
						if e := math.Abs(float64(v) - want[i]); !(e <= 8e-6*(1+a.Scale)*(1+math.Abs(want[i]))) {
							t.Fatalf("%+v variant %d threads %d: y[%d] is %g, want %g", z, variant, threads, i, v, want[i])
						}
					}
				}
				if !intact(y) {
					t.Fatalf("%+v variant %d: wrote outside", z, variant)
				}
			}
		}
	})
}

func TestThreads(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, lq := range []int{1, 40} {
		a := &Args{Batch: 1, Heads: 4, KVHeads: 2, LQ: lq, LK: 2000, D: 32, DV: 32, Scale: 0.2}
		a.Q, a.K, a.V = view(guarded(r, 4*lq*32), true, 4, lq, 32), view(guarded(r, 2*2000*32), true, 2, 2000, 32), view(guarded(r, 2*2000*32), true, 2, 2000, 32)
		var first []float32
		for threads := 1; threads < 6; threads++ {
			y := make([]float32, 4*lq*32)
			a.Y = view(y, true, 4, lq, 32)
			Run(par.P{Threads: threads}, a)
			if first == nil {
				first = y
			}
			for i := range y {
				if y[i] != first[i] {
					t.Fatalf("lq %d, %d threads: y[%d] is %g, was %g", lq, threads, i, y[i], first[i])
				}
			}
		}
	}
}

func TestNotANumber(t *testing.T) {
	levels(t, func(t *testing.T) {
		for _, lq := range []int{1, 20} {
			a := &Args{Batch: 1, Heads: 1, KVHeads: 1, LQ: lq, LK: 40, D: 16, DV: 16, Scale: 1}
			a.Q, a.K, a.V = view(make([]float32, lq*16), false, 1, lq, 16), view(make([]float32, 40*16), false, 1, 40, 16), view(make([]float32, 40*16), false, 1, 40, 16)
			y := make([]float32, lq*16)
			a.Y = view(y, false, 1, lq, 16)
			a.K.Data[20*16] = float32(math.NaN())
			Run(par.P{}, a)
			if y[0] == y[0] {
				t.Errorf("lq %d: NaN in K gives %g", lq, y[0])
			}
			a.K.Data[20*16] = 0
			a.Mask = &Mask{Add: make([]float32, 40), N: 40}
			for i := range a.Mask.Add {
				a.Mask.Add[i] = negInf
			}
			Run(par.P{}, a)
			if y[0] != 0 {
				t.Errorf("lq %d: no key gives %g, want 0", lq, y[0])
			}
		}
	})
}

// TestExp holds e^x against math.Exp.
func TestExp(t *testing.T) {
	levels(t, func(t *testing.T) {
		s := make([]float32, 160)
		worst := 0.0
		for k := range 600 {
			for i := range s {
				s[i] = -float32(k*160+i) / 1100
			}
			in := append([]float32{}, s...)
			best().expSum(unsafe.Pointer(&s[0]), len(s), 0)
			for i, v := range s {
				want := math.Exp(float64(in[i]))
				worst = max(worst, math.Abs(float64(v)-want)/(want+1e-37))
			}
		}
		if worst > 2.5e-7 {
			t.Errorf("relative error %g", worst)
		}
		for i := range s {
			s[i] = negInf
		}
		if got := best().expSum(unsafe.Pointer(&s[0]), len(s), 0); got != 0 || s[3] != 0 {
			t.Errorf("e^-Inf is %g, the sum %g", s[3], got)
		}
	})
}

func TestRotate(t *testing.T) {
	levels(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(3, 4))
		for n := 1; n < 40; n++ {
			for _, neighbours := range []bool{false, true} {
				src, c, s, dst := guarded(r, 2*n), guarded(r, n), guarded(r, n), guarded(r, 2*n)
				NewRotor().Rotate(dst, src, c, s, neighbours)
				in := append([]float32{}, src...)
				NewRotor().Rotate(src, src, c, s, neighbours)
				for i := range n {
					a, b := i, n+i
					if neighbours {
						a, b = 2*i, 2*i+1
					}
					x1, x2, cos, sin := float64(in[a]), float64(in[b]), float64(c[i]), float64(s[i])
					if math.Abs(float64(dst[a])-(cos*x1-sin*x2)) > 1e-6 || math.Abs(float64(dst[b])-(sin*x1+cos*x2)) > 1e-6 || src[a] != dst[a] || src[b] != dst[b] {
						t.Fatalf("n %d neighbours %t: pair %d is %g, %g", n, neighbours, i, dst[a], dst[b])
					}
				}
				if !intact(dst) || !intact(src) {
					t.Fatalf("n %d neighbours %t: wrote outside", n, neighbours)
				}
			}
		}
	})
}

func BenchmarkRun(b *testing.B) {
	for _, z := range []struct {
		name                      string
		h, kv, lq, lk, d, threads int
		causal                    bool
	}{
		{"vit", 12, 12, 197, 197, 64, 1, false}, {"bert", 12, 12, 128, 128, 64, 1, false}, {"whisper", 6, 6, 1500, 1500, 64, 1, false}, {"whisper2", 6, 6, 1500, 1500, 64, 2, false},
		{"causal", 12, 12, 512, 512, 64, 1, true}, {"decode", 12, 12, 1, 512, 64, 1, false}, {"decode2", 12, 12, 1, 512, 64, 2, false}, {"decode4k", 32, 8, 1, 4096, 128, 1, false}, {"decode4k2", 32, 8, 1, 4096, 128, 2, false},
	} {
		for _, level := range cpu.Levels()[1:] {
			b.Run(fmt.Sprintf("%s/%s", z.name, level), func(b *testing.B) {
				restore, err := cpu.Force(level)
				if err != nil {
					b.Fatal(err)
				}
				defer restore()
				r := rand.New(rand.NewPCG(1, 2))
				a := &Args{Batch: 1, Heads: z.h, KVHeads: z.kv, LQ: z.lq, LK: z.lk, D: z.d, DV: z.d, Scale: 0.125}
				a.Q, a.K = view(guarded(r, z.h*z.lq*z.d), true, z.h, z.lq, z.d), view(guarded(r, z.kv*z.lk*z.d), z.lq > 1, z.kv, z.lk, z.d)
				a.V, a.Y = view(guarded(r, z.kv*z.lk*z.d), z.lq > 1, z.kv, z.lk, z.d), view(guarded(r, z.h*z.lq*z.d), true, z.h, z.lq, z.d)
				work := 4 * float64(z.h*z.lq*z.lk*z.d)
				if z.causal {
					a.Span = func(_, i int) (int, int) { return 0, i + 1 }
					work /= 2
				}
				for b.Loop() {
					Run(par.P{Threads: z.threads}, a)
				}
				b.ReportMetric(work*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
				b.ReportMetric(8*float64(z.kv*z.lk*z.d)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GB/s")
			})
		}
	}
}

// Keys and values of 16 bits give what their widened copies give.
func TestHalves(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	levels(t, func(t *testing.T) {
		for _, kind := range []half.Kind{half.Float16, half.BFloat16} {
			for _, last := range []bool{false, true} {
				for _, s := range [][2]int{{1, 5}, {1, 1000}, {3, 70}, {40, 70}, {20, 450}} {
					const batch, heads, kv, d, dv = 2, 4, 2, 40, 33
					lq, lk := s[0], s[1]
					a := &Args{Batch: batch, Heads: heads, KVHeads: kv, LQ: lq, LK: lk, D: d, DV: dv, Scale: 0.2}
					a.Q = view(guarded(r, batch*heads*lq*d), true, heads, lq, d)
					halves := func(size int) (wide, narrow View) {
						data := guarded(r, batch*kv*lk*size)
						h := make([]uint16, len(data))
						half.Narrow(kind, h, data)
						half.Widen(kind, data, h)
						wide = view(data, last, kv, lk, size)
						narrow = wide
						narrow.Data, narrow.Half, narrow.Kind = nil, h, kind
						return wide, narrow
					}
					k, hk := halves(d)
					v, hv := halves(dv)
					want, got := make([]float32, batch*heads*lq*dv), make([]float32, batch*heads*lq*dv)
					a.K, a.V, a.Y = k, v, view(want, true, heads, lq, dv)
					Run(par.P{}, a)
					a.K, a.V, a.Y = hk, hv, view(got, true, heads, lq, dv)
					Run(par.P{Threads: 2}, a)
					for i := range want {
						if got[i] != want[i] {
							t.Fatalf("%d queries, %d keys, kind %d, heads last %v: element %d is %g, want %g", lq, lk, kind, last, i, got[i], want[i])
						}
					}
				}
			}
		}
	})
}
