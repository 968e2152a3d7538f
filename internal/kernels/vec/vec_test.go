package vec_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/cpu"
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
			{"exp", table.Exp, math.Exp, 2, 0},
			{"log", table.Log, math.Log, 3, 0},
			{"tanh", table.Tanh, math.Tanh, 7, 0},
			{"atan", table.Atan, math.Atan, 3, 0},
			{"asin", table.Asin, math.Asin, 3, 0},
			{"acos", table.Acos, math.Acos, 3, 0},
			{"sigmoid", table.Sigmoid, sigmoid, 4, 0},
			{"erf", table.Erf, math.Erf, 7, 0},
			{"softplus", table.Softplus, softplus, 4, 0},
			{"gelu", table.Gelu, limit(func(x float64) float64 { return 0.5 * x * math.Erfc(-x/math.Sqrt2) }), 7, 8e-7},
			{"geluTanh", table.GeluTanh, limit(func(x float64) float64 {
				return x * sigmoid(2*math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))
			}), 9, 1e-9},
			{"swish", func(dst, x []float32) { table.Swish(dst, x, 1.5) }, limit(func(x float64) float64 { return x * sigmoid(1.5*x) }), 9, 1e-9},
			{"mish", table.Mish, limit(func(x float64) float64 { return x * math.Tanh(softplus(x)) }), 7, 1e-35},
			{"elu", func(dst, x []float32) { table.Elu(dst, x, 1) }, func(x float64) float64 {
				if x < 0 {
					return math.Expm1(x)
				}
				return x
			}, 3, 0},
			{"relu", table.Relu, func(x float64) float64 {
				if x < 0 {
					return 0
				}
				return x
			}, 0, 0},
			{"sqrt", table.Sqrt, math.Sqrt, 0.5, 0},
			{"abs", table.Abs, math.Abs, 0, 0},
			{"neg", table.Neg, func(x float64) float64 { return -x }, 0, 0},
			{"square", table.Square, func(x float64) float64 { return x * x }, 0.5, 0},
			{"reciprocal", table.Reciprocal, func(x float64) float64 { return 1 / x }, 0.5, 0},
			{"round", table.Round, math.RoundToEven, 0, 0},
			{"floor", table.Floor, math.Floor, 0, 0},
			{"ceil", table.Ceil, math.Ceil, 0, 0},
			{"trunc", table.Trunc, math.Trunc, 0, 0},
			{"hardSwish", table.HardSwish, func(x float64) float64 {
				if x <= -3 {
					return 0
				}
				return x * min(x/6+0.5, 1)
			}, 4, 3e-7},
			{"hardSigmoid", func(dst, x []float32) { table.HardSigmoid(dst, x, 0.25, 0.5) }, func(x float64) float64 {
				return min(max(x*0.25+0.5, 0), 1)
			}, 1, 0},
			{"leakyRelu", func(dst, x []float32) { table.LeakyRelu(dst, x, 0.25) }, func(x float64) float64 {
				if x < 0 {
					return 0.25 * x
				}
				return x
			}, 0.5, 0},
			{"affine", func(dst, x []float32) { table.Affine(dst, x, 0.75, 0.5) }, func(x float64) float64 { return x*0.75 + 0.5 }, 0.51, 0},
			{"expSum", func(dst, x []float32) { table.ExpSum(dst, x, 1, 0) }, math.Exp, 2, 0},
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
				case c.name == "expSum" && v > 0: // out of its range
				case math.Abs(want) < 1.2e-38 && math.Abs(float64(y[i])-want) < 1.2e-38: // below the normal numbers
				case (c.name == "swish" || c.name == "geluTanh") && v < -40 && math.Abs(float64(y[i])-want) < 1e-36:
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

// Every length up to some registers with canaries behind the result, against
// the loops in Go.
func TestLengths(t *testing.T) {
	nan := float32(math.NaN())
	generic := vec.Tables[0]
	for _, table := range vec.Tables[1:] {
		for n := range 150 {
			x, y := make([]float32, n), make([]float32, n)
			for i := range x {
				x[i], y[i] = float32(i*7%13)-6.25, float32(i*5%7)+1
			}
			if n > 3 {
				x[n-1], y[n-2] = nan, nan
			}
			for name, f := range map[string]func(t *vec.Table, d []float32){
				"add":        func(t *vec.Table, d []float32) { t.Add(d, x, y) },
				"div":        func(t *vec.Table, d []float32) { t.Div(d, x, y) },
				"addScalar":  func(t *vec.Table, d []float32) { t.AddScalar(d, x, 3) },
				"clip":       func(t *vec.Table, d []float32) { t.Clip(d, x, -2, 3) },
				"exp":        func(t *vec.Table, d []float32) { t.Exp(d, x) },
				"elu":        func(t *vec.Table, d []float32) { t.Elu(d, x, 0.5) },
				"atan":       func(t *vec.Table, d []float32) { t.Atan(d, x) },
				"asin":       func(t *vec.Table, d []float32) { t.Asin(d, x) },
				"acos":       func(t *vec.Table, d []float32) { t.Acos(d, x) },
				"expSum":     func(t *vec.Table, d []float32) { t.ExpSum(d, x, 0.5, 4) },
				"normalize":  func(t *vec.Table, d []float32) { t.Normalize(d, x, 0.5, 2, nil, nil) },
				"scale":      func(t *vec.Table, d []float32) { t.Normalize(d, x, 0.5, 2, y, nil) },
				"scale bias": func(t *vec.Table, d []float32) { t.Normalize(d, x, 0.5, 2, y, x) },
				"bias":       func(t *vec.Table, d []float32) { t.Normalize(d, x, 0.5, 2, nil, y) },
				"columns": func(t *vec.Table, d []float32) {
					copy(d, y)
					t.AddColumns(d, append(append([]float32{}, x...), y...), 2, n)
				},
				"squares": func(t *vec.Table, d []float32) {
					copy(d, y)
					t.AddSquares(d, append(append(append([]float32{}, x...), y...), x...), []float32{0.5, -1, 2}, n)
				},
				"max columns": func(t *vec.Table, d []float32) {
					copy(d, y)
					t.MaxColumns(d, append(append([]float32{}, x...), y...), 2, n)
				},
				"min columns": func(t *vec.Table, d []float32) {
					copy(d, y)
					t.MinColumns(d, append(append([]float32{}, x...), y...), 2, n)
				},
			} {
				want, got := padded(n), padded(n)
				f(generic, want[:n])
				f(table, got[:n])
				if i := differ(got, want); i >= 0 {
					t.Fatalf("%s/%s of %d: element %d is %g, want %g", table.Name, name, n, i, got[i], want[i])
				}
			}
			if n > 3 {
				if v := table.Largest(x); v == v {
					t.Errorf("%s: largest of %d with NaN: %g", table.Name, n, v)
				}
				x, y = x[:n-1], y[:n-2]
			}
			for name, f := range map[string]func(t *vec.Table) float64{
				"sum":        func(t *vec.Table) float64 { return t.Sum(x) },
				"sumAbs":     func(t *vec.Table) float64 { return t.SumAbs(x) },
				"sumSquares": func(t *vec.Table) float64 { return t.SumSquares(x, 1.5) },
				"largest":    func(t *vec.Table) float64 { return float64(t.Largest(y)) },
				"smallest":   func(t *vec.Table) float64 { return float64(t.Smallest(y)) },
				"expSum":     func(t *vec.Table) float64 { return t.ExpSum(make([]float32, len(x)), x, 0.5, 4) },
			} {
				if g, w := f(table), f(generic); g != w && !(math.Abs(g-w) <= 1e-6*math.Abs(w)) {
					t.Fatalf("%s/%s of %d: %g, want %g", table.Name, name, n, g, w)
				}
			}
		}
	}
}

// Long vectors are cut into pieces.
func TestLong(t *testing.T) {
	const n = 20000
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i*7919%n)/n - 0.5
	}
	x[12345] = 9
	for _, table := range vec.Tables {
		if s := table.Sum(x); math.Abs(s-vec.Tables[0].Sum(x)) > 1e-3 {
			t.Errorf("%s: sum %g", table.Name, s)
		}
		huge := []float32{3e38, 3e38, -3e38, -3e38, 1e-30}
		if s := table.Sum(huge); s != 0 && math.Abs(s-1e-30) > 1e-36 {
			t.Errorf("%s: sum of numbers that overflow: %g", table.Name, s)
		}
		if s := table.SumSquares(huge[:2], 0); math.Abs(s/18e76-1) > 1e-6 {
			t.Errorf("%s: squares that overflow: %g", table.Name, s)
		}
		if s := table.SumSquares(huge[4:], 0); math.Abs(s/1e-60-1) > 1e-6 {
			t.Errorf("%s: squares that vanish: %g", table.Name, s)
		}
		if m := table.Largest(x); m != 9 {
			t.Errorf("%s: largest %g", table.Name, m)
		}
		d := make([]float32, n)
		table.Add(d, x, x)
		table.MulScalar(d, d, 0.5)
		table.Sqrt(d, d)
		table.Square(d, d)
		table.Arith[vec.Sub].RowsVS(d, d, x[12345:], n, 1, 0, 0)
		for i, v := range x {
			if w := v - 9; v >= 0 && math.Abs(float64(d[i]-w)) > 1e-5 {
				t.Fatalf("%s: element %d is %g, want %g", table.Name, i, d[i], w)
			}
		}
	}
}

func padded(n int) []float32 {
	d := make([]float32, n+70)
	for i := range d {
		d[i] = 99
	}
	return d
}

// differ returns where got is not want up to rounding; -1: nowhere.
func differ(got, want []float32) int {
	for i, v := range got {
		if w := want[i]; v != w && !(v != v && w != w) && !(math.Abs(float64(v-w)) <= 1e-6*math.Abs(float64(w))) {
			return i
		}
	}
	return -1
}

func TestRows(t *testing.T) {
	nan := float32(math.NaN())
	for _, table := range vec.Tables {
		for op := range vec.NumOps {
			want := func(a, b float32) float32 {
				switch op {
				case vec.Add:
					return a + b
				case vec.Sub:
					return a - b
				case vec.Mul:
					return a * b
				case vec.Div:
					return a / b
				case vec.Max:
					return max(a, b)
				}
				return min(a, b)
			}
			f := table.Arith[op]
			for _, n := range []int{1, 2, 7, 8, 15, 16, 17, 31, 33, 64, 65, 130} {
				for _, c := range []struct {
					name   string
					rows   func(dst, a, b []float32, n, rows, sa, sb int)
					ia, ib int // element of a and b per element of the row
				}{{"vv", f.RowsVV, 1, 1}, {"vs", f.RowsVS, 1, 0}, {"sv", f.RowsSV, 0, 1}} {
					const rows = 3
					for _, s := range [][2]int{{n, n}, {0, n}, {n + 3, 1}, {1, 0}} {
						sa, sb := s[0], s[1]
						a, b := make([]float32, rows*(n+3)), make([]float32, rows*(n+3))
						for i := range a {
							a[i], b[i] = float32(i*5%11)-5.5, float32(i*3%7)-2.5
						}
						a[n/2], b[n/3] = nan, nan
						d := padded(rows * n)
						c.rows(d[:rows*n], a, b, n, rows, sa, sb)
						for i, v := range d {
							w := float32(99)
							if r, j := i/n, i%n; r < rows {
								w = want(a[r*sa+j*c.ia], b[r*sb+j*c.ib])
							}
							if v != w && !(v != v && w != w) {
								t.Fatalf("%s: op %d %s, rows of %d, strides %v: element %d is %g, want %g", table.Name, op, c.name, n, s, i, v, w)
							}
						}
					}
				}
				x := make([]float32, n)
				for i := range x {
					x[i] = float32(i) - 3.5
				}
				x[n-1] = nan
				for _, s := range []float32{2.5, nan} {
					vs, sv := padded(n), padded(n)
					f.VS(vs[:n], x, s)
					f.SV(sv[:n], s, x)
					for i, v := range x {
						if w := want(v, s); vs[i] != w && !(vs[i] != vs[i] && w != w) {
							t.Fatalf("%s: op %d: %g and scalar %g are %g, want %g", table.Name, op, v, s, vs[i], w)
						}
						if w := want(s, v); sv[i] != w && !(sv[i] != sv[i] && w != w) {
							t.Fatalf("%s: op %d: scalar %g and %g are %g, want %g", table.Name, op, s, v, sv[i], w)
						}
					}
					if vs[n] != 99 || sv[n] != 99 {
						t.Fatalf("%s: op %d wrote behind %d elements", table.Name, op, n)
					}
				}
			}
		}
	}
}

func TestBest(t *testing.T) {
	for _, table := range vec.Tables {
		restore, err := cpu.Force(table.Name)
		if err != nil {
			t.Fatal(err)
		}
		if got := vec.Best(); got != table {
			t.Errorf("forced to %s: %s", table.Name, got.Name)
		}
		restore()
	}
}

func BenchmarkFunctions(b *testing.B) {
	x, y := make([]float32, 4096), make([]float32, 4096)
	for i := range x {
		x[i] = float32(i-2048) / 300
	}
	for _, table := range vec.Tables {
		for _, f := range []struct {
			name string
			f    func(dst, x []float32)
		}{{"Exp", table.Exp}, {"Sigmoid", table.Sigmoid}, {"Tanh", table.Tanh}, {"Erf", table.Erf}, {"Gelu", table.Gelu},
			{"GeluTanh", table.GeluTanh}, {"Log", table.Log}, {"HardSwish", table.HardSwish}, {"Relu", table.Relu},
			{"Swish", func(d, x []float32) { table.Swish(d, x, 1) }}, {"Add", func(d, x []float32) { table.Add(d, x, x) }},
			{"Sum", func(_, x []float32) { table.Sum(x) }}, {"SumSquares", func(_, x []float32) { table.SumSquares(x, 1) }},
			{"Largest", func(_, x []float32) { table.Largest(x) }}, {"ExpSum", func(d, x []float32) { table.ExpSum(d, x, 1, 7) }},
			{"Normalize", func(d, x []float32) { table.Normalize(d, x, 1, 2, x, x) }},
			{"Add64", func(d, x []float32) { table.Arith[vec.Add].RowsVV(d, x, x, 64, 64, 64, 0) }},
			{"AddScalar8", func(d, x []float32) { table.Arith[vec.Add].RowsVS(d, x, x, 8, 512, 8, 1) }}} {
			b.Run(table.Name+"/"+f.name, func(b *testing.B) {
				b.SetBytes(4 * int64(len(x)))
				for b.Loop() {
					f.f(y, x)
				}
			})
		}
	}
}

// What is below the normal numbers is small, and e^-∞ is 0.
func TestVanish(t *testing.T) {
	inf, nan := float32(math.Inf(-1)), float32(math.NaN())
	for _, table := range vec.Tables {
		for _, f := range []struct {
			name string
			f    func(dst, x []float32)
		}{{"sigmoid", table.Sigmoid}, {"softplus", table.Softplus}, {"exp", table.Exp}} {
			x := []float32{inf, -200, nan, inf, -math.MaxFloat32, inf, inf, inf, inf, inf, inf, inf, inf, inf, inf, inf, inf, inf, inf}
			y := make([]float32, len(x))
			f.f(y, x)
			for i, v := range x {
				if v == v && y[i] != 0 || v != v && y[i] == y[i] {
					t.Errorf("%s: %s(%v) = %v", table.Name, f.name, v, y[i])
				}
			}
		}
	}
}

// The best of rows, with equal elements and NaN, by all tables; nothing behind the ends is written.
func TestArgColumns(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	values := []float32{0, float32(math.Copysign(0, -1)), 1, 1, -2, 3, inf, -inf, nan, 0.5}
	r := rand.New(rand.NewPCG(1, 2))
	for _, table := range vec.Tables {
		for _, n := range []int{0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 70, 129, 600} {
			for _, rows := range []int{0, 1, 2, 5, 40} {
				stride := n + rows%3
				x := make([]float32, rows*stride+n)
				for i := range x {
					x[i] = values[r.IntN(len(values))]
				}
				first := x[:n:n]
				for arg := range vec.NumArgs {
					best, at := append(append([]float32{}, first...), 7), make([]int32, n+1)
					at[n] = -9
					table.ArgColumns[arg](at[:n], best[:n], x[n:], rows, stride, 1)
					if best[n] != 7 || at[n] != -9 {
						t.Fatalf("%s: %d columns: written behind the end", table.Name, n)
					}
					for i, b := range first {
						want := int32(0)
						for k := range rows {
							v := x[n+k*stride+i]
							if [...]bool{v > b, v < b, v >= b, v <= b}[arg] {
								b, want = v, int32(k+1)
							}
						}
						if at[i] != want || math.Float32bits(best[i]) != math.Float32bits(b) {
							t.Fatalf("%s, arg %d, %d rows of %d: column %d is %v of row %d, want %v of %d", table.Name, arg, rows, n, i, best[i], at[i], b, want)
						}
					}
				}
			}
		}
	}
}
