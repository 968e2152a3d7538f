package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestDynamicQuantizeLinear(t *testing.T) {
	Run(t, []Case{
		{Op: "DynamicQuantizeLinear", In: Vals(F32([]int{6}, 0, 2, -3, -2.5, 1.34, 0.5)),
			Want: Vals(Of([]int{6}, uint8(153), 255, 0, 26, 221, 179), F32([]int{}, 0.0196078438), Of([]int{}, uint8(153)))},
		{Op: "DynamicQuantizeLinear", In: Vals(F32([]int{2, 2}, 1, 2, 4, 5.1)), Want: Vals(Of([]int{2, 2}, uint8(50), 100, 200, 255), F32([]int{}, 0.02), Of([]int{}, uint8(0)))},
		{Op: "DynamicQuantizeLinear", In: Vals(F32([]int{2}, -5.1, -1)), Want: Vals(Of([]int{2}, uint8(0), 205), F32([]int{}, 0.02), Of([]int{}, uint8(255)))},
		{Op: "DynamicQuantizeLinear", In: Vals(F32([]int{2}, 0, 0)), Want: Vals(Of([]int{2}, uint8(0), 0), F32([]int{}, 1), Of([]int{}, uint8(0)))},
		{Op: "DynamicQuantizeLinear", In: Vals(F64([]int{1}, 0)), Want: Vals(nil, nil, nil), Err: "not supported"},
	})
}
