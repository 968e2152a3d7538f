package conv

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/kernels/gemm"
	"github.com/gneiss-run/gneiss/internal/par"
)

func random[T Float](r *rand.Rand, n int) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = T(r.IntN(2001)-1000) / 1000
	}
	return s
}

// visit calls f for every position and tap of w that lies in the image.
func (w *Window) visit(f func(out, tap, in int)) {
	pos, tap := make([]int, len(w.In)), make([]int, len(w.In))
	for o := range product(w.Out) {
		seek(pos, w.Out, o)
		for t := range product(w.Kernel) {
			seek(tap, w.Kernel, t)
			at, ok := 0, true
			for i := range pos {
				x := pos[i]*w.Strides[i] - w.Before[i] + tap[i]*w.Dilations[i]
				ok = ok && x >= 0 && x < w.In[i]
				at = at*w.In[i] + x
			}
			if ok {
				f(o, t, at)
			}
		}
	}
}

func naive[T Float](a *Args[T], y []T) {
	cg, mg := a.C/a.Group, a.M/a.Group
	in, out, taps := product(a.In), product(a.Out), product(a.Kernel)
	for n := range a.N {
		for m := range a.M {
			dst := y[(n*a.M+m)*out:][:out]
			sum := make([]float64, out)
			for c := range cg {
				src := a.X[(n*a.C+m/mg*cg+c)*in:]
				a.visit(func(o, t, i int) { sum[o] += float64(src[i]) * float64(a.W[(m*cg+c)*taps+t]) })
			}
			for o := range dst {
				if !a.Sum {
					dst[o] = 0
				}
				dst[o] += T(sum[o])
				if a.B != nil {
					dst[o] += a.B[m]
				}
			}
			if a.Act != nil {
				a.Act(dst)
			}
		}
	}
}

// window makes up a window over an image.
func window(r *rand.Rand, d, most int) Window {
	w := Window{}
	for range d {
		in, k, s, dil := 1+r.IntN(most), 1+r.IntN(4), 1+r.IntN(3), 1+r.IntN(2)
		before, after := r.IntN(3), r.IntN(3)
		ext := (k-1)*dil + 1
		if in+before+after < ext {
			in = ext
		}
		w.In, w.Kernel, w.Strides, w.Dilations = append(w.In, in), append(w.Kernel, k), append(w.Strides, s), append(w.Dilations, dil)
		w.Before = append(w.Before, before)
		w.Out = append(w.Out, (in+before+after-ext)/s+1)
	}
	return w
}

func check[T Float](t *testing.T, a *Args[T], eps float64) {
	t.Helper()
	y0 := append([]T(nil), a.Y...)
	want := append([]T(nil), a.Y...)
	naive(a, want)
	for _, threads := range []int{1, 3} {
		a.Y = append([]T(nil), y0...)
		win := a.Window
		Run(par.P{Threads: threads}, a)
		a.Window = win
		for i := range want {
			if d := float64(a.Y[i] - want[i]); math.Abs(d) > eps {
				t.Fatalf("%s, %d threads: %+v, n %d c %d m %d groups %d: element %d is %v, want %v",
					a.Table.Name, threads, a.Window, a.N, a.C, a.M, a.Group, i, a.Y[i], want[i])
			}
		}
	}
}

func testRun[T Float](t *testing.T, tab *Table, rounds int, eps float64) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range rounds {
		g := 1 + r.IntN(4)
		cg, mg := 1+r.IntN(3), 1+r.IntN(20)
		if i%3 == 0 {
			cg, mg = 1, 1+r.IntN(2)
		}
		a := &Args[T]{N: 1 + r.IntN(2), C: g * cg, M: g * mg, Group: g, Window: window(r, 1+i%3, []int{70, 20, 8}[i%3]), Table: tab}
		if i%7 == 0 {
			a.Window = Window{In: []int{5, 9}, Kernel: []int{1, 1}, Strides: []int{1, 1}, Dilations: []int{1, 1}, Before: []int{0, 0}, Out: []int{5, 9}}
		}
		a.X, a.W, a.Y = random[T](r, a.N*a.C*product(a.In)), random[T](r, a.M*cg*product(a.Kernel)), random[T](r, a.N*a.M*product(a.Out))
		if i%2 == 0 {
			a.B = random[T](r, a.M)
		}
		if i%5 == 0 {
			a.Act = func(c []T) {
				for i := range c {
					c[i] = max(c[i], 0)
				}
			}
		}
		a.Sum = i%4 == 1
		for _, gt := range gemm.Tables {
			if gt.Name == tab.Name {
				a.Gemm = gt
			}
		}
		check(t, a, eps)
	}
}

func TestRun(t *testing.T) {
	defer par.Stop()
	for _, tab := range Tables {
		t.Run(tab.Name, func(t *testing.T) {
			testRun[float32](t, tab, 250, 1e-4)
		})
	}
	testRun[float64](t, Tables[0], 100, 1e-12)
}

// Few positions and many channels, where threads share one product.
func TestWide(t *testing.T) {
	defer par.Stop()
	r := rand.New(rand.NewPCG(3, 4))
	three := []int{3, 3}
	one := []int{1, 1}
	a := &Args[float32]{N: 1, C: 33, M: 130, Group: 1, Window: Window{In: []int{7, 7}, Kernel: three, Strides: one, Dilations: one, Before: one, Out: []int{7, 7}}, Table: Best()}
	a.X, a.W, a.Y = random[float32](r, 33*49), random[float32](r, 130*33*9), make([]float32, 130*49)
	check(t, a, 1e-4)
}

func TestTaps(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, tab := range Tables {
		for n := 1; n < 150; n++ {
			for _, taps := range []int{0, 1, 9} {
				x, w, off := random[float32](r, n+20), random[float32](r, taps+1), make([]int, taps+1)
				for i := range off {
					off[i] = 4 * r.IntN(21)
				}
				if taps > 0 {
					off[0] = 80 // up to the last element
				}
				const guard = 40
				got, want := make([]float32, n+2*guard), make([]float32, n+2*guard)
				for i := range got {
					got[i], want[i] = 99, 99
				}
				ptr := func(s []float32) unsafe.Pointer { return unsafe.Pointer(&s[0]) }
				tapsGo(ptr(want[guard:]), n, ptr(x), unsafe.Pointer(&off[0]), ptr(w), taps, float32(0.5))
				tab.Taps32(ptr(got[guard:]), n, ptr(x), unsafe.Pointer(&off[0]), ptr(w), taps, 0.5)
				for i := range got {
					if math.Abs(float64(got[i]-want[i])) > 1e-5 {
						t.Fatalf("%s, n %d, %d taps: element %d is %v, want %v", tab.Name, n, taps, i-guard, got[i], want[i])
					}
				}
			}
		}
	}
}

func TestBest(t *testing.T) {
	for _, tab := range Tables {
		restore, err := cpu.Force(tab.Name)
		if err != nil {
			t.Fatal(err)
		}
		if Best() != tab {
			t.Errorf("%s is not the best at its own level", tab.Name)
		}
		restore()
	}
}

func BenchmarkConv(b *testing.B) {
	for _, s := range []struct{ c, m, g, size, k, stride int }{
		{64, 64, 1, 56, 3, 1}, {128, 128, 1, 28, 3, 1}, {512, 512, 1, 7, 3, 1}, {64, 256, 1, 56, 1, 1}, {3, 64, 1, 224, 7, 2},
		{144, 144, 144, 56, 3, 1}, {96, 96, 96, 112, 3, 2}, {960, 960, 960, 7, 3, 1},
	} {
		for _, threads := range []int{1, 2} {
			b.Run(fmt.Sprintf("%d-%d/%d/%d/k%ds%d/threads=%d", s.c, s.m, s.g, s.size, s.k, s.stride, threads), func(b *testing.B) {
				pad := s.k / 2
				two := func(x int) []int { return []int{x, x} }
				out := (s.size+2*pad-s.k)/s.stride + 1
				a := &Args[float32]{N: 1, C: s.c, M: s.m, Group: s.g, Window: Window{In: two(s.size), Kernel: two(s.k), Strides: two(s.stride), Dilations: two(1), Before: two(pad), Out: two(out)}}
				r := rand.New(rand.NewPCG(1, 2))
				a.X, a.W, a.Y, a.B = random[float32](r, s.c*s.size*s.size), random[float32](r, s.m*s.c/s.g*s.k*s.k), make([]float32, s.m*out*out), random[float32](r, s.m)
				for b.Loop() {
					Run(par.P{Threads: threads}, a)
				}
				b.ReportMetric(2e-9*float64(s.m*s.c/s.g*s.k*s.k*out*out)*float64(b.N)/b.Elapsed().Seconds(), "GFLOPS")
			})
		}
	}
}
