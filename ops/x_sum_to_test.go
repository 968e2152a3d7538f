package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXSumTo(t *testing.T) {
	x := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	Run(t, []Case{
		{Domain: "x", Op: "SumTo", Opset: 1, In: Vals(x, F32([]int{2, 3}, 0, 0, 0, 0, 0, 0)), Want: Vals(x)},
		{Domain: "x", Op: "SumTo", Opset: 1, In: Vals(x, F32([]int{3}, 0, 0, 0)), Want: Vals(F32([]int{3}, 5, 7, 9))},
		{Domain: "x", Op: "SumTo", Opset: 1, In: Vals(x, I64([]int{2, 1}, 0, 0)), Want: Vals(F32([]int{2, 1}, 6, 15))},
		{Domain: "x", Op: "SumTo", Opset: 1, In: Vals(x, F32([]int{}, 0)), Want: Vals(F32([]int{}, 21))},
		{Domain: "x", Op: "SumTo", Opset: 1, In: Vals(F64([]int{2, 1}, 1, 2), F64([]int{1, 1}, 0)), Want: Vals(F64([]int{1, 1}, 3))},
		{Domain: "x", Op: "SumTo", Opset: 1, In: Vals(F32([]int{0, 3}), F32([]int{3}, 0, 0, 0)), Want: Vals(F32([]int{3}, 0, 0, 0))},
		{Domain: "x", Op: "SumTo", Opset: 1, In: Vals(Of([]int{2}, tensor.F16Of(1), tensor.F16Of(2)), Of([]int{1}, tensor.F16Of(0))), Want: Vals(Of([]int{1}, tensor.F16Of(3)))},
		{Domain: "x", Op: "SumTo", Opset: 1, In: Vals(x, F32([]int{2}, 0, 0)), Want: Vals(x), Err: "does not broadcast"},
		{Domain: "x", Op: "SumTo", Opset: 1, In: Vals(x, F32([]int{1, 2, 3}, 0, 0, 0, 0, 0, 0)), Want: Vals(x), Err: "does not broadcast"},
	})
}
