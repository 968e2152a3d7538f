package nhwc

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/internal/kernels/conv"
	"github.com/gneiss-run/gneiss/internal/par"
)

func random[T Float](r *rand.Rand, n int) []T {
	s := make([]T, n)
	for i := range s {
		s[i] = T(r.IntN(2001)-1000) / 1000
	}
	return s
}

func seek(idx, shape []int, q int) {
	for i := len(shape) - 1; i >= 0; i-- {
		idx[i] = q % shape[i]
		q /= shape[i]
	}
}

// visit calls f for every position and tap of w that lies in the image.
func visit(w *conv.Window, f func(out, tap, in int)) {
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

// naive is a convolution of w[m, c/group, kernel…].
func naive[T Float](a *Args[T], w []T) []float64 {
	cg, mg := a.W.C/a.W.Group, a.W.M/a.W.Group
	in, out, taps := product(a.In), product(a.Out), product(a.Kernel)
	y := make([]float64, a.N*out*a.W.M)
	for n := range a.N {
		for m := range a.W.M {
			for c := range cg {
				visit(&a.Window, func(o, t, i int) {
					y[(n*out+o)*a.W.M+m] += float64(a.X[(n*in+i)*a.W.C+m/mg*cg+c]) * float64(w[(m*cg+c)*taps+t])
				})
			}
		}
	}
	return y
}

// naiveTransposed is a transposed convolution of w[c, m/group, kernel…].
func naiveTransposed[T Float](a *Args[T], w []T) []float64 {
	cg, mg := a.W.C/a.W.Group, a.W.M/a.W.Group
	in, out, taps := product(a.In), product(a.Out), product(a.Kernel)
	y := make([]float64, a.N*in*a.W.M)
	for n := range a.N {
		for c := range a.W.C {
			for m := range mg {
				visit(&a.Window, func(o, t, i int) {
					y[(n*in+i)*a.W.M+c/cg*mg+m] += float64(a.X[(n*out+o)*a.W.C+c]) * float64(w[(c*mg+m)*taps+t])
				})
			}
		}
	}
	return y
}

// window makes up a window over an image.
func window(r *rand.Rand, d, most int) conv.Window {
	w := conv.Window{}
	for range d {
		in, k, s, dil := 1+r.IntN(most), 1+r.IntN(5), 1+r.IntN(3), 1+r.IntN(2)
		before, after := r.IntN(4)-1, r.IntN(3)
		ext := (k-1)*dil + 1
		if in+before+after < ext {
			in = ext - before - after
		}
		w.In, w.Kernel, w.Strides, w.Dilations = append(w.In, in), append(w.Kernel, k), append(w.Strides, s), append(w.Dilations, dil)
		w.Before = append(w.Before, before)
		w.Out = append(w.Out, (in+before+after-ext)/s+1)
	}
	return w
}

const guard = 64 // elements around Y that must not change

func check[T Float](t *testing.T, name string, a *Args[T], want []float64, eps float64, run func(par.P, *Args[T])) {
	t.Helper()
	for i := range want {
		v := T(want[i])
		if a.B != nil {
			v += a.B[i%a.W.M]
		}
		if a.Z != nil {
			v += a.Z[i]
		}
		if a.Clamp {
			v = min(max(v, a.Lo), a.Hi)
		}
		if a.Act != nil {
			s := []T{v}
			a.Act(s)
			v = s[0]
		}
		want[i] = float64(v)
	}
	z := a.Z
	for _, threads := range []int{1, 3} {
		for _, inPlace := range []bool{false, true} {
			if inPlace && z == nil {
				continue
			}
			buf := make([]T, len(want)+2*guard)
			for i := range buf {
				buf[i] = T(math.NaN())
			}
			a.Y = buf[guard : guard+len(want)]
			if a.Z = z; inPlace {
				copy(a.Y, z)
				a.Z = a.Y
			}
			run(par.P{Threads: threads}, a)
			for i := range want {
				if d := math.Abs(float64(a.Y[i]) - want[i]); !(d <= eps) {
					t.Fatalf("%s %s, %d threads, in place %v: %+v, n %d c %d m %d groups %d: element %d is %v, want %v",
						name, a.Table.Name, threads, inPlace, a.Window, a.N, a.W.C, a.W.M, a.W.Group, i, a.Y[i], want[i])
				}
			}
			for i := range guard {
				if buf[i] == buf[i] || buf[guard+len(want)+i] == buf[guard+len(want)+i] {
					t.Fatalf("%s %s: %+v wrote outside of Y", name, a.Table.Name, a.Window)
				}
			}
		}
	}
	a.Z = z
}

func TestWinograd(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, tab := range Tables {
		for i := range 11 {
			in := []int{1 + r.IntN(20), 1 + r.IntN(20)}
			if i%5 == 0 {
				in = []int{30 + r.IntN(20), 50 + r.IntN(10)}
			}
			before := []int{r.IntN(3) - 1, r.IntN(3) - 1}
			out := []int{max(1, in[0]-r.IntN(3)), max(1, in[1]-r.IntN(3))}
			c, m := 16+r.IntN(50), 16+r.IntN(50)
			if i == 9 {
				c = 300
			}
			a := &Args[float32]{N: 1 + r.IntN(2), Window: conv.Window{In: in, Kernel: []int{3, 3}, Out: out, Strides: []int{1, 1}, Dilations: []int{1, 1}, Before: before},
				Table: tab, Scratch: scratch[float32]}
			w := random[float32](r, m*c*9)
			a.W = PackWinograd(tab, w, m, c)
			a.X = random[float32](r, a.N*c*product(in))
			epilogue(r, a, m, a.N*m*product(out))
			check(t, fmt.Sprint("Winograd, round ", i), a, naive(a, w), 5e-4, Conv[float32])
		}
	}
}

func scratch[T Float](n int) []T { return make([]T, n) }

func testConv[T Float](t *testing.T, tab *Table, rounds int, eps float64) {
	r := rand.New(rand.NewPCG(1, 2))
	few, phases := 0, 0
	for i := range rounds {
		g, cg, mg := 1, 1+r.IntN(40), 1+r.IntN(70)
		switch i % 4 {
		case 1: // groups
			g, cg, mg = 2+r.IntN(3), 1+r.IntN(5), 1+r.IntN(40)
		case 2: // depthwise
			g, cg, mg = 1+r.IntN(70), 1, 1
		case 3:
			g, cg, mg = 1+r.IntN(20), 1, 1+r.IntN(3)
			if i%8 == 3 {
				g, cg, mg = 1, 1+r.IntN(600), 1+r.IntN(40)
			}
		case 0:
			if i%8 == 0 { // few of the output
				cg, mg = 16+r.IntN(40), 1+r.IntN(5)
			}
		}
		a := &Args[T]{N: 1 + r.IntN(2), Window: window(r, 1+i%3, []int{70, 14, 5}[i%3]), Table: tab, Scratch: scratch[T]}
		if i%5 == 0 {
			a.Window = conv.Window{In: []int{5, 9}, Kernel: []int{1, 1}, Strides: []int{1, 1}, Dilations: []int{1, 1}, Before: []int{0, 0}, Out: []int{5, 9}}
		}
		if i%10 == 4 { // few rows
			side, k := []int{1 + i/10%2, 1 + i/20%4}, 1+i/40%2
			a.N, a.Window = 1, conv.Window{In: side, Kernel: []int{1, 1}, Strides: []int{1, 1}, Dilations: []int{1, 1}, Before: []int{0, 0}, Out: side}
			if k == 2 {
				a.N, a.Kernel, a.Out = 1+i/80%3, side, []int{1, 1}
				if i%80 >= 60 { // taps that see padding
					a.Dilations = []int{2, 3}
				}
			}
			if i%20 == 4 {
				g, cg, mg = 1, cg*g, mg*g
			}
		}
		if i%6 < 3 {
			for d := range a.Window.In {
				a.Dilations[d] = 1
				a.Out[d] = max(1, a.Out[d]/2)
			}
		}
		if last := len(a.In) - 1; i%8 == 2 { // the kernels of routines for rows
			a.Kernel[last], a.Strides[last], a.Dilations[last] = 3+r.IntN(3)*2, 1+r.IntN(2), 1
		}
		c, m := g*cg, g*mg
		w := random[T](r, m*cg*product(a.Kernel))
		a.W = Pack(tab, w, m, c, g, a.Kernel)
		a.X = random[T](r, a.N*c*product(a.In))
		out := a.N * m * product(a.Out)
		epilogue(r, a, m, out)
		check(t, fmt.Sprint("round ", i), a, naive(a, w), eps, Conv[T])

		b := &Args[T]{N: a.N, Window: a.Window, Table: tab, Scratch: scratch[T]}
		w = random[T](r, c*mg*product(a.Kernel))
		b.W = PackTransposed(tab, w, m, c, g, b.Kernel, b.Strides, b.Dilations)
		if b.W.taps != nil {
			few++
		}
		if b.W.phases != nil {
			phases++
		}
		b.X = random[T](r, b.N*c*product(b.Out))
		epilogue(r, b, m, b.N*m*product(b.In))
		check(t, fmt.Sprint("transposed, round ", i), b, naiveTransposed(b, w), eps, Transposed[T])
	}
	if unsafe.Sizeof(*new(T)) == 4 && (few < 3 || phases < 3) {
		t.Errorf("%d transposed convolutions to few channels and %d depthwise ones, want some", few, phases)
	}
}

// epilogue makes up what comes after the sums.
func epilogue[T Float](r *rand.Rand, a *Args[T], m, out int) {
	if r.IntN(2) == 0 {
		a.B = random[T](r, m)
	}
	if r.IntN(2) == 0 {
		a.Z = random[T](r, out)
	}
	if r.IntN(2) == 0 {
		a.Clamp, a.Lo, a.Hi = true, -0.5, 2
	}
	if r.IntN(3) == 0 {
		a.Act = func(s []T) {
			for i, v := range s {
				s[i] = 2*v + 1
			}
		}
	}
}

func TestConv(t *testing.T) {
	for _, tab := range Tables {
		t.Run(tab.Name, func(t *testing.T) {
			testConv[float32](t, tab, 200, 5e-4)
			testConv[float64](t, tab, 60, 1e-11)
		})
	}
}

func TestPool(t *testing.T) {
	for _, level := range cpu.Levels() {
		t.Run(level, func(t *testing.T) {
			restore, err := cpu.Force(level)
			if err != nil {
				t.Fatal(err)
			}
			defer restore()
			r := rand.New(rand.NewPCG(3, 4))
			testMax(t, r, float32(math.Inf(-1)), func() float32 { return float32(r.IntN(1000)) - 500 })
			testMax(t, r, math.Inf(-1), func() float64 { return float64(r.IntN(1000)) - 500 })
			testMax(t, r, -128, func() int8 { return int8(r.IntN(256) - 128) })
			testMax(t, r, 0, func() uint8 { return uint8(r.IntN(256)) })
			testMean[float32](t, r, 1e-5)
			testMean[float64](t, r, 1e-12)
		})
	}
}

func testMax[T Pooled](t *testing.T, r *rand.Rand, least T, element func() T) {
	for i := range 60 {
		w := window(r, 1+i%3, []int{70, 14, 5}[i%3])
		n, c := 1+r.IntN(2), 1+r.IntN(150)
		in, out := product(w.In), product(w.Out)
		x, want := make([]T, n*c*in), make([]T, n*c*out)
		for j := range x {
			x[j] = element()
			if f, ok := any(x).([]float32); ok && j%50 == 0 {
				f[j] = float32(math.NaN())
			}
		}
		for j := range want {
			want[j] = least
		}
		for b := range n {
			for k := range c {
				visit(&w, func(o, _, i int) {
					at := (b*out+o)*c + k
					want[at] = max(want[at], x[(b*in+i)*c+k])
				})
			}
		}
		for _, threads := range []int{1, 3} {
			buf := make([]T, n*c*out+2)
			buf[0], buf[len(buf)-1] = 77, 77
			y := buf[1 : len(buf)-1]
			MaxPool(par.P{Threads: threads}, n, c, &w, x, y, least)
			for j := range y {
				if y[j] != want[j] && (y[j] == y[j] || want[j] == want[j]) {
					t.Fatalf("%+v c %d: element %d is %v, want %v", w, c, j, y[j], want[j])
				}
			}
			if buf[0] != 77 || buf[len(buf)-1] != 77 {
				t.Fatalf("%+v c %d: wrote outside of Y", w, c)
			}
		}
	}
}

func testMean[T Float](t *testing.T, r *rand.Rand, eps float64) {
	for i := range 60 {
		w := window(r, 1+i%3, []int{70, 14, 5}[i%3])
		n, c := 1+r.IntN(2), 1+r.IntN(40)
		in, out := product(w.In), product(w.Out)
		x, sum, count := random[T](r, n*c*in), make([]float64, n*c*out), make([]int, n*c*out)
		for b := range n {
			for k := range c {
				visit(&w, func(o, _, i int) {
					at := (b*out+o)*c + k
					sum[at] += float64(x[(b*in+i)*c+k])
					count[at]++
				})
			}
		}
		for _, threads := range []int{1, 3} {
			y := make([]T, n*c*out)
			AveragePool(par.P{Threads: threads}, n, c, &w, x, y, nil)
			for j := range y {
				if d := math.Abs(float64(y[j]) - sum[j]/float64(max(count[j], 1))); d > eps {
					t.Fatalf("%+v c %d: mean %d is %v, want %v", w, c, j, y[j], sum[j]/float64(count[j]))
				}
			}
		}
	}
}
