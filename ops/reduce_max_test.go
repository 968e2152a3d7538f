package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestReduceMax(t *testing.T) {
	testReduction(t, "ReduceMax", 18)
	Run(t, []Case{
		{Op: "ReduceMax", In: Vals(Of([]int{2, 2}, true, false, false, false), I64([]int{1}, 1)), Want: Vals(Of([]int{2, 1}, true, false))},
		{Op: "ReduceMax", In: Vals(Of([]int{2, 0}, []bool{}...), I64([]int{1}, 1)), Want: Vals(Of([]int{2, 1}, false, false))},
		{Op: "ReduceMax", In: Vals(Of([]int{2}, int8(-3), int8(-5))), Want: Vals(Of([]int{1}, int8(-3)))},
		{Op: "ReduceMax", In: Vals(Of([]int{0}, []uint8{}...)), Want: Vals(Of([]int{1}, uint8(0)))},
		{Op: "ReduceMax", In: Vals(I64([]int{0})), Want: Vals(I64([]int{1}, math.MinInt64))},
		{Op: "ReduceMax", In: Vals(F32([]int{3}, 1, float32(math.NaN()), 2)), Want: Vals(F32([]int{1}, float32(math.NaN())))},
	})
}
