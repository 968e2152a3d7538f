package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

// Broadcasts of every kind of walk against a naive one.
func TestBroadcastFloats(t *testing.T) {
	fill := func(shape []int, from float32) *tensor.Tensor {
		n, _ := tensor.Count(shape)
		v := make([]float32, n)
		for i := range v {
			v[i] = from + float32(i*7%23)
		}
		return F32(shape, v...)
	}
	ops := map[string]func(a, b float32) float32{
		"Add": func(a, b float32) float32 { return a + b },
		"Sub": func(a, b float32) float32 { return a - b },
		"Mul": func(a, b float32) float32 { return a * b },
		"Div": func(a, b float32) float32 { return a / b },
		"Max": func(a, b float32) float32 { return max(a, b) },
	}
	var cases []Case
	for _, s := range [][2][]int{
		{{5, 64}, {64}}, {{64, 5}, {64, 1}}, {{7, 9}, {9}}, {{3, 1}, {1, 70}}, {{2, 6, 5, 8}, {2, 1, 1, 8}},
		{{2, 6, 5, 8}, {1, 6, 1, 1}}, {{2, 6, 5, 8}, {6, 5, 1}}, {{4, 1, 3, 2}, {5, 1, 2}}, {{1, 40, 1}, {30, 1, 17}},
		{{3000, 9}, {3000, 1}}, {{2, 20000}, {2, 1}}, {{300, 2, 3}, {2, 1}}, {{40, 0}, {40, 1}}, {{2, 7, 31, 3}, {2, 1, 1, 3}}, {{3, 5000, 5}, {1, 1, 5}}, {{2, 128, 4}, {4}},
	} {
		for _, swap := range []bool{false, true} {
			as, bs := s[0], s[1]
			if swap {
				as, bs = bs, as
			}
			a, b := fill(as, -11), fill(bs, -3.5)
			shape, err := tensor.Broadcast(as, bs)
			if err != nil {
				t.Fatal(err)
			}
			n, _ := tensor.Count(shape)
			sa, sb := tensor.BroadcastStrides(as, shape), tensor.BroadcastStrides(bs, shape)
			for op, f := range ops {
				want := make([]float32, n)
				for i := range want {
					oa, ob, rest := 0, 0, i
					for d := len(shape) - 1; d >= 0; d-- {
						oa += rest % shape[d] * sa[d]
						ob += rest % shape[d] * sb[d]
						rest /= shape[d]
					}
					want[i] = f(tensor.Data[float32](a)[oa], tensor.Data[float32](b)[ob])
				}
				cases = append(cases, Case{Op: op, In: Vals(a, b), Want: Vals(F32(shape, want...))})
				if op != "Max" {
					cases = append(cases, broadcastDoubles(op, a, b, shape, sa, sb))
				}
			}
			cases = append(cases, comparisons(tensor.Data[float32](a), as, tensor.Data[float32](b), bs, shape, sa, sb)...)
			cases = append(cases, comparisons(as64(a), as, as64(b), bs, shape, sa, sb)...)
			cases = append(cases, comparisons(converted[int32](a), as, converted[int32](b), bs, shape, sa, sb)...)
			cases = append(cases, comparisons(converted[int64](a), as, converted[int64](b), bs, shape, sa, sb)...)
			cases = append(cases, comparisons(converted[uint32](a), as, converted[uint32](b), bs, shape, sa, sb)...)
		}
	}
	Run(t, cases)
}

func converted[T int32 | int64 | uint32 | float64](x *tensor.Tensor) []T {
	out := make([]T, x.Len())
	for i, v := range tensor.Data[float32](x) {
		out[i] = T(int64(v)) // negative numbers are large unsigned ones
	}
	return out
}

func as64(x *tensor.Tensor) []float64 {
	out := converted[float64](x)
	for i := range out {
		if out[i] == 3 {
			out[i] = math.NaN()
		}
	}
	return out
}

// operandAt returns where the operand of strides st has what element i of shape meets.
func operandAt(i int, shape, st []int) int {
	o := 0
	for d := len(shape) - 1; d >= 0; d-- {
		o += i % shape[d] * st[d]
		i /= shape[d]
	}
	return o
}

func broadcastDoubles(op string, a, b *tensor.Tensor, shape, sa, sb []int) Case {
	x, y := as64(a), as64(b)
	n, _ := tensor.Count(shape)
	want := make([]float64, n)
	for i := range want {
		u, v := x[operandAt(i, shape, sa)], y[operandAt(i, shape, sb)]
		want[i] = map[string]float64{"Add": u + v, "Sub": u - v, "Mul": u * v, "Div": u / v}[op]
	}
	return Case{Op: op, In: Vals(F64(a.Shape(), x...), F64(b.Shape(), y...)), Want: Vals(F64(shape, want...))}
}

func comparisons[T int32 | int64 | uint32 | float32 | float64](a []T, as []int, b []T, bs, shape, sa, sb []int) (cases []Case) {
	n, _ := tensor.Count(shape)
	for op, f := range map[string]func(a, b T) bool{
		"Less":           func(a, b T) bool { return a < b },
		"LessOrEqual":    func(a, b T) bool { return a <= b },
		"Greater":        func(a, b T) bool { return a > b },
		"GreaterOrEqual": func(a, b T) bool { return a >= b },
		"Equal":          func(a, b T) bool { return a == b },
	} {
		want := make([]bool, n)
		for i := range want {
			want[i] = f(a[operandAt(i, shape, sa)], b[operandAt(i, shape, sb)])
		}
		cases = append(cases, Case{Op: op, In: Vals(Of(as, a...), Of(bs, b...)), Want: Vals(Of(shape, want...))})
	}
	return cases
}

// Functions of truth values at lengths around a word.
func TestBools(t *testing.T) {
	var cases []Case
	for n := range 35 {
		a, b := make([]bool, n), make([]bool, n)
		for i := range a {
			a[i], b[i] = i*i%5 < 2, i*7%3 == 1
		}
		not := make([]bool, n)
		for i := range a {
			not[i] = !a[i]
		}
		cases = append(cases, Case{Op: "Not", In: Vals(Of([]int{n}, a...)), Want: Vals(Of([]int{n}, not...))})
		for op, f := range map[string]func(a, b bool) bool{
			"And": func(a, b bool) bool { return a && b }, "Or": func(a, b bool) bool { return a || b },
			"Xor": func(a, b bool) bool { return a != b }, "Equal": func(a, b bool) bool { return a == b },
		} {
			both := make([]bool, n)
			for i := range both {
				both[i] = f(a[i], b[i])
			}
			cases = append(cases, Case{Op: op, In: Vals(Of([]int{n}, a...), Of([]int{n}, b...)), Want: Vals(Of([]int{n}, both...))})
			for _, v := range []bool{false, true} {
				left, right := make([]bool, n), make([]bool, n)
				for i := range left {
					left[i], right[i] = f(v, b[i]), f(a[i], v)
				}
				one := Of([]int{1}, v)
				cases = append(cases,
					Case{Op: op, In: Vals(one, Of([]int{n}, b...)), Want: Vals(Of([]int{n}, left...))},
					Case{Op: op, In: Vals(Of([]int{n}, a...), one), Want: Vals(Of([]int{n}, right...))})
			}
		}
	}
	Run(t, cases)
}
