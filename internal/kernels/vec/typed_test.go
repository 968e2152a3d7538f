package vec_test

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"unsafe"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
)

// rowsCheck holds the forms of an operator against f, in rows of many lengths, with operands that have
// their own rows, share one and lie apart, and with guards behind what is written.
func rowsCheck[T float32 | float64 | int32 | int64, R comparable](t *testing.T, name string, rows vec.Rows, values []T, guard R, f func(a, b T) R) {
	t.Helper()
	if rows.VV == nil {
		return
	}
	size := int(unsafe.Sizeof(values[0]))
	for _, n := range []int{1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 130, 8192, 8195} {
		for _, c := range []struct {
			form   string
			rows   func(dst, a, b unsafe.Pointer, n, rows, sa, sb int)
			ia, ib int // element of a and b per element of the row
		}{{"vv", rows.VV, 1, 1}, {"vs", rows.VS, 1, 0}, {"sv", rows.SV, 0, 1}} {
			const count = 3
			for _, s := range [][2]int{{n, n}, {0, n}, {n + 3, 1}, {1, 0}} {
				a, b := make([]T, count*(n+3)), make([]T, count*(n+3))
				for i := range a {
					a[i], b[i] = values[i*5%11%len(values)], values[(i*3+i/7)%len(values)]
				}
				d := make([]R, count*n+9)
				for i := range d {
					d[i] = guard
				}
				c.rows(unsafe.Pointer(&d[1]), unsafe.Pointer(&a[0]), unsafe.Pointer(&b[0]), n, count, s[0]*size, s[1]*size)
				for i, v := range d {
					want := guard
					if k := i - 1; k >= 0 && k < count*n {
						want = f(a[k/n*s[0]+k%n*c.ia], b[k/n*s[1]+k%n*c.ib])
					}
					if v != want && !(v != v && want != want) {
						t.Fatalf("%s %s, rows of %d, strides %v: element %d is %v, want %v", name, c.form, n, s, i-1, v, want)
					}
				}
			}
		}
	}
}

func compareCheck[T float32 | float64 | int32 | int64](t *testing.T, name string, less, orEqual, equal vec.Rows, values []T) {
	of := func(f func(a, b T) bool) func(a, b T) uint8 {
		return func(a, b T) uint8 {
			if f(a, b) {
				return 1
			}
			return 0
		}
	}
	rowsCheck(t, name+" less", less, values, 99, of(func(a, b T) bool { return a < b }))
	rowsCheck(t, name+" less or equal", orEqual, values, 99, of(func(a, b T) bool { return a <= b }))
	rowsCheck(t, name+" equal", equal, values, 99, of(func(a, b T) bool { return a == b }))
}

func integersCheck[T int32 | int64](t *testing.T, name string, table [vec.NumOps]vec.Rows, values []T) {
	for op, f := range map[vec.Op]func(a, b T) T{
		vec.Add: func(a, b T) T { return a + b }, vec.Sub: func(a, b T) T { return a - b }, vec.Mul: func(a, b T) T { return a * b },
		vec.Max: func(a, b T) T { return max(a, b) }, vec.Min: func(a, b T) T { return min(a, b) },
	} {
		rowsCheck(t, fmt.Sprint(name, " op ", op), table[op], values, 99, f)
	}
}

func TestTyped(t *testing.T) {
	inf, nan, zero := math.Inf(1), math.NaN(), math.Copysign(0, -1)
	floats := []float64{0, zero, 1, -1, inf, -inf, nan, 2.5, 1e-300, -3e20, 7}
	single := make([]float32, len(floats))
	for i, v := range floats {
		single[i] = float32(v)
	}
	for _, table := range vec.Tables {
		for op, f := range map[vec.Op]func(a, b float64) float64{
			vec.Add: func(a, b float64) float64 { return a + b }, vec.Sub: func(a, b float64) float64 { return a - b },
			vec.Mul: func(a, b float64) float64 { return a * b }, vec.Div: func(a, b float64) float64 { return a / b },
			vec.Max: func(a, b float64) float64 { return max(a, b) }, vec.Min: func(a, b float64) float64 { return min(a, b) },
		} {
			rowsCheck(t, fmt.Sprint(table.Name, " op ", op), table.Float64[op], floats, 99, f)
		}
		integersCheck(t, table.Name+" int32", table.Int32, []int32{0, 1, -1, math.MaxInt32, math.MinInt32, 7, 8, -9})
		integersCheck(t, table.Name+" int64", table.Int64, []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1 << 32, -1 << 32, 1<<32 + 1})
		l, o, e := &table.Less, &table.LessOrEqual, &table.Equal
		compareCheck(t, table.Name+" float32", l.Float32, o.Float32, e.Float32, single)
		compareCheck(t, table.Name+" float64", l.Float64, o.Float64, e.Float64, floats)
		compareCheck(t, table.Name+" int32", l.Int32, o.Int32, e.Int32, []int32{0, 1, -1, math.MaxInt32, math.MinInt32, 7, 8, -9})
		compareCheck(t, table.Name+" int64", l.Int64, o.Int64, e.Int64, []int64{0, 1, -1, math.MaxInt64, math.MinInt64, 1 << 32, -1 << 32, 1<<32 + 1})
	}
}

// Functions of float64 against those of package math, in units in the last place.
func TestFloat64(t *testing.T) {
	x := []float64{0, math.Copysign(0, -1), math.Inf(1), math.Inf(-1), math.NaN(), 708.3, 709.79, 1e300, -1e300, -708.3, -708.5, -744.4, -745.2, -746, 1e-300, 5e-324, 1e-9, 19.06, 22, -1}
	for i := range 20000 {
		x = append(x, float64(i-10000)*0.0731, float64(i-10000)*0.00217, math.Exp(float64(i-19000)/900), 1+float64(i-10000)*1e-7)
	}
	for _, table := range vec.Tables {
		for name, f := range map[string]struct {
			loop func(dst, x []float64)
			want func(float64) float64
		}{"exp": {table.Exp64, math.Exp}, "tanh": {table.Tanh64, math.Tanh}, "log": {table.Log64, math.Log},
			"abs": {table.Abs64, math.Abs}, "neg": {table.Neg64, func(v float64) float64 { return -v }}, "sqrt": {table.Sqrt64, math.Sqrt},
			"floor": {table.Floor64, math.Floor}, "reciprocal": {table.Reciprocal64, func(v float64) float64 { return 1 / v }}} {
			d := make([]float64, len(x))
			f.loop(d, x)
			for i, v := range d {
				w := f.want(x[i])
				if x[i] > 709 && math.IsInf(w, 1) { // package math may overflow early
					w = math.Exp(x[i]-1) * math.E
				}
				if w != w || w == 0 || math.IsInf(w, 0) {
					if math.Float64bits(v) != math.Float64bits(w) && !(v != v && w != w) {
						t.Fatalf("%s: %s %g is %g, want %g", table.Name, name, x[i], v, w)
					}
					continue
				}
				if unit := math.Max(math.Nextafter(math.Abs(w), math.Inf(1))-math.Abs(w), 5e-324); math.Abs(v-w) > 3*unit && x[i] < 709 {
					t.Fatalf("%s: %s %g is %g, want %g: %g units", table.Name, name, x[i], v, w, (v-w)/unit)
				}
			}
			same := slices.Clone(x)
			f.loop(same, same)
			for i, v := range same {
				if math.Float64bits(v) != math.Float64bits(d[i]) && (v == v || d[i] == d[i]) {
					t.Fatalf("%s: %s %g is %g in place, else %g", table.Name, name, x[i], v, d[i])
				}
			}
			for n := range 40 { // no more than asked for
				d := make([]float64, n+2)
				d[0], d[n+1] = 99, 99
				f.loop(d[1:n+1], x[100:])
				if d[0] != 99 || d[n+1] != 99 {
					t.Fatalf("%s: %s wrote beyond %d elements", table.Name, name, n)
				}
				for i, v := range d[1 : n+1] {
					if w := f.want(x[100+i]); math.Abs(v-w) > 1e-15*math.Abs(w) {
						t.Fatalf("%s: %s: element %d of %d is %g, want %g", table.Name, name, i, n, v, w)
					}
				}
			}
		}
	}
}
