package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestWhere(t *testing.T) {
	cond := Of([]int{2, 2}, true, false, true, true)
	Run(t, []Case{
		{Op: "Where", In: Vals(cond, F32([]int{2, 2}, 1, 2, 3, 4), F32([]int{2, 2}, 9, 8, 7, 6)), Want: Vals(F32([]int{2, 2}, 1, 8, 3, 4))},
		{Op: "Where", Opset: 9, In: Vals(cond, I64([]int{2}, 1, 2), I64([]int{}, 9)), Want: Vals(I64([]int{2, 2}, 1, 9, 1, 2))},
		{Op: "Where", In: Vals(cond, I64([]int{}, 9), I64([]int{2, 1}, 1, 2)), Want: Vals(I64([]int{2, 2}, 9, 1, 9, 9))},
		{Op: "Where", In: Vals(Of([]int{2, 1}, true, false), I32([]int{3}, 1, 2, 3), I32([]int{}, 0)), Want: Vals(I32([]int{2, 3}, 1, 2, 3, 0, 0, 0))},
		{Op: "Where", In: Vals(Of([]int{}, false), F32([]int{1}, 1), F32([]int{2}, 2, 3)), Want: Vals(F32([]int{2}, 2, 3))},
		{Op: "Where", In: Vals(Of([]int{2}, false, true), Of([]int{}, "a"), Of([]int{2}, "b", "c")), Want: Vals(Of([]int{2}, "b", "a"))},
		{Op: "Where", In: Vals(Of([]int{2}, false, true), Of([]int{1}, complex128(1i)), Of([]int{2}, complex128(2), 3)), Want: Vals(Of([]int{2}, complex128(2), 1i))},
		{Op: "Where", In: Vals(Of([]int{2}, false, true), Of([]int{2}, tensor.F16(1), 2), Of([]int{2}, tensor.F16(3), 4)), Want: Vals(Of([]int{2}, tensor.F16(3), 2))},
		{Op: "Where", In: Vals(Of([]int{2}, false, true), Of([]int{2}, true, true), Of([]int{2}, false, false)), Want: Vals(Of([]int{2}, false, true))},
		{Op: "Where", In: Vals(Of([]int{0}, []bool{}...), F32([]int{1}, 1), F32([]int{1}, 2)), Want: Vals(F32([]int{0}))},
		{Op: "Where", In: Vals(cond, F32([]int{1}, 1), F64([]int{1}, 2)), Want: Vals(cond), Err: "Y is float64, want float32"},
		{Op: "Where", In: Vals(F32([]int{1}, 1), F32([]int{1}, 1), F32([]int{1}, 2)), Want: Vals(cond), Err: "condition is float32, want bool"},
		{Op: "Where", In: Vals(cond, F32([]int{3}, 1, 2, 3), F32([]int{1}, 2)), Want: Vals(cond), Err: "3"},
	})
}

// Runs, single elements and both, of each size.
func TestWherePicks(t *testing.T) {
	var cases []Case
	for _, n := range []int{1, 2, 7, 33} {
		cond := make([]bool, n)
		for i := range cond {
			cond[i] = i*i%7 < 3
		}
		cases = append(cases, wherePicks[uint8](cond)...)
		cases = append(cases, wherePicks[int16](cond)...)
		cases = append(cases, wherePicks[float32](cond)...)
		cases = append(cases, wherePicks[int64](cond)...)
	}
	Run(t, cases)
}

func wherePicks[T uint8 | int16 | float32 | int64](cond []bool) (cases []Case) {
	n := len(cond)
	for _, nx := range []int{1, n} {
		for _, ny := range []int{1, n} {
			x, y, want := make([]T, nx), make([]T, ny), make([]T, n)
			for i := range x {
				x[i] = T(3*i + 1)
			}
			for i := range y {
				y[i] = T(200 - i)
			}
			for i, v := range cond {
				want[i] = y[i%ny]
				if v {
					want[i] = x[i%nx]
				}
			}
			cases = append(cases, Case{Op: "Where", In: Vals(Of([]int{n}, cond...), Of([]int{nx}, x...), Of([]int{ny}, y...)), Want: Vals(Of([]int{n}, want...))})
		}
	}
	return cases
}

func TestWhereGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Where", In: Vals(Of([]int{2, 2}, true, false, false, true), Normal(1, 2, 2), Normal(2, 2))},
		{Op: "Where", In: Vals(Of([]int{2}, true, false), Normal(1, 3, 1), Normal(2))},
	})
}
