package vec_test

import (
	"math"
	"testing"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// inputs covers every exponent of float32, both signs, and the special values.
func inputs() []float32 {
	x := []float32{0, float32(math.Copysign(0, -1)), float32(math.Inf(1)), float32(math.Inf(-1)), float32(math.NaN()),
		math.MaxFloat32, -math.MaxFloat32, math.SmallestNonzeroFloat32, -math.SmallestNonzeroFloat32, 1, -1, 88.72283, 88.72284, -103.97207, -103.98}
	for e := uint32(0); e < 255; e++ {
		for m := uint32(0); m < 1<<23; m += 1<<23/37 + 11 {
			v := math.Float32frombits(e<<23 | m)
			x = append(x, v, -v)
		}
	}
	for i := range 40000 {
		x = append(x, float32(i-20000)/1777)
	}
	return x
}

func TestFunctions(t *testing.T) {
	x := inputs()
	sigmoid := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	softplus := func(x float64) float64 {
		if x > 50 {
			return x
		}
		return math.Log1p(math.Exp(x))
	}
	limit := func(f func(float64) float64) func(float64) float64 {
		return func(x float64) float64 {
			if x < -1e4 {
				return math.Copysign(0, -1)
			}
			return f(x)
		}
	}
	for _, table := range vec.Tables {
		for _, c := range []struct {
			name string
			f    func(dst, x []float32)
			want func(float64) float64
			ulps float64
			abs  float64 // allowed where the formula cancels
		}{
			{"exp", table.Exp, math.Exp, 1, 0},
			{"log", table.Log, math.Log, 1, 0},
			{"tanh", table.Tanh, math.Tanh, 1, 0},
			{"sigmoid", table.Sigmoid, sigmoid, 1, 0},
			{"erf", table.Erf, math.Erf, 1, 0},
			{"softplus", table.Softplus, softplus, 1, 0},
			{"gelu", table.Gelu, limit(func(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }), 1, 1e-10},
			{"geluTanh", table.GeluTanh, limit(func(x float64) float64 {
				return x * sigmoid(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))
			}), 1, 0},
			{"swish", func(dst, x []float32) { table.Swish(dst, x, 1.5) }, limit(func(x float64) float64 { return x * sigmoid(1.5*x) }), 1, 0},
			{"mish", table.Mish, limit(func(x float64) float64 { return x * math.Tanh(softplus(x)) }), 1, 0},
			{"elu", func(dst, x []float32) { table.Elu(dst, x, 1) }, func(x float64) float64 {
				if x < 0 {
					return math.Expm1(x)
				}
				return x
			}, 1, 0},
			{"relu", table.Relu, func(x float64) float64 {
				if x < 0 {
					return 0
				}
				return x
			}, 0, 0},
		} {
			y := append([]float32(nil), x...)
			c.f(y, y) // in place
			worst, at := 0.0, float32(0)
			for i, v := range x {
				want := c.want(float64(v))
				w := float32(want)
				switch {
				case w != w:
					if y[i] == y[i] {
						t.Errorf("%s/%s(%g) = %g, want NaN", table.Name, c.name, v, y[i])
					}
				case y[i] == w && math.Signbit(float64(y[i])) == math.Signbit(float64(w)):
				case w == 0 || math.IsInf(float64(w), 0):
					if w == 0 && y[i] != 0 && math.Abs(float64(y[i])) <= 1e-45 {
						continue
					}
					t.Errorf("%s/%s(%g) = %g, want %g", table.Name, c.name, v, y[i], w)
				default:
					d := math.Abs(float64(y[i])-want) - c.abs
					ulp := float64(math.Nextafter32(float32(math.Abs(float64(w))), math.MaxFloat32)) - math.Abs(float64(w))
					if d/ulp > worst || d != d {
						worst, at = d/ulp, v
					}
				}
			}
			if !(worst <= c.ulps) {
				t.Errorf("%s/%s: error of %.2f ulp at %g", table.Name, c.name, worst, at)
			}
		}
	}
}

func TestArithmetic(t *testing.T) {
	a, b := []float32{1, -2, 3, 4, 5}, []float32{2, 4, -6, 8, 0.5}
	for _, table := range vec.Tables {
		for n := range len(a) + 1 {
			for _, c := range []struct {
				f    func(dst, a, b []float32)
				want func(a, b float32) float32
			}{
				{table.Add, func(a, b float32) float32 { return a + b }},
				{table.Sub, func(a, b float32) float32 { return a - b }},
				{table.Mul, func(a, b float32) float32 { return a * b }},
				{table.Div, func(a, b float32) float32 { return a / b }},
				{func(d, a, _ []float32) { table.AddScalar(d, a, 3) }, func(a, _ float32) float32 { return a + 3 }},
				{func(d, a, _ []float32) { table.MulScalar(d, a, 3) }, func(a, _ float32) float32 { return a * 3 }},
			} {
				d := make([]float32, n)
				c.f(d, a, b)
				for i := range d {
					if w := c.want(a[i], b[i]); d[i] != w {
						t.Errorf("%s: %g, want %g", table.Name, d[i], w)
					}
				}
			}
		}
	}
}

// Every length up to three registers, with canaries behind the result.
func TestLengths(t *testing.T) {
	nan := float32(math.NaN())
	for _, table := range vec.Tables {
		for n := range 200 {
			x, y := make([]float32, n), make([]float32, n)
			for i := range x {
				x[i], y[i] = float32(i%13)-6, float32(i%7)+1
			}
			if n > 0 {
				x[n-1] = nan
			}
			for _, c := range []struct {
				name string
				f    func(d []float32)
				want func(x, y float32) float32
			}{
				{"add", func(d []float32) { table.Add(d, x, y) }, func(x, y float32) float32 { return x + y }},
				{"div", func(d []float32) { table.Div(d, x, y) }, func(x, y float32) float32 { return x / y }},
				{"mulScalar", func(d []float32) { table.MulScalar(d, x, 3) }, func(x, _ float32) float32 { return 3 * x }},
				{"clip", func(d []float32) { table.Clip(d, x, -2, 3) }, func(x, _ float32) float32 { return min(max(x, -2), 3) }},
				{"exp", func(d []float32) { table.Exp(d, x) }, func(x, _ float32) float32 { return float32(math.Exp(float64(x))) }},
			} {
				d := make([]float32, n+70)
				for i := range d {
					d[i] = 99
				}
				c.f(d[:n])
				for i, v := range d {
					want := float32(99)
					if i < n {
						want = c.want(x[i], y[i])
					}
					if v != want && !(v != v && want != want) && math.Abs(float64(v/want-1)) > 1e-6 {
						t.Fatalf("%s/%s of %d: element %d is %g, want %g", table.Name, c.name, n, i, v, want)
					}
				}
			}
		}
	}
}

func BenchmarkFunctions(b *testing.B) {
	x, y := make([]float32, 4096), make([]float32, 4096)
	for i := range x {
		x[i] = float32(i-2048) / 300
	}
	for _, table := range vec.Tables {
		for name, f := range map[string]func(dst, x []float32){"Exp": table.Exp, "Tanh": table.Tanh, "Erf": table.Erf, "Log": table.Log, "Gelu": table.Gelu} {
			b.Run(table.Name+"/"+name, func(b *testing.B) {
				b.SetBytes(4 * int64(len(x)))
				for b.Loop() {
					f(y, x)
				}
			})
		}
	}
}
