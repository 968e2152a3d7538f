package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestReduceMin(t *testing.T) {
	testReduction(t, "ReduceMin", 18)
	Run(t, []Case{
		{Op: "ReduceMin", In: Vals(Of([]int{2, 2}, true, false, true, true), I64([]int{1}, 1)), Want: Vals(Of([]int{2, 1}, false, true))},
		{Op: "ReduceMin", In: Vals(Of([]int{2, 0}, []bool{}...), I64([]int{1}, 1)), Want: Vals(Of([]int{2, 1}, true, true))},
		{Op: "ReduceMin", In: Vals(Of([]int{2}, int8(-3), int8(-5))), Want: Vals(Of([]int{1}, int8(-5)))},
		{Op: "ReduceMin", In: Vals(Of([]int{0}, []uint8{}...)), Want: Vals(Of([]int{1}, uint8(255)))},
		{Op: "ReduceMin", In: Vals(I64([]int{0})), Want: Vals(I64([]int{1}, math.MaxInt64))},
		{Op: "ReduceMin", In: Vals(F32([]int{3}, 1, float32(math.NaN()), 2)), Want: Vals(F32([]int{1}, float32(math.NaN())))},
	})
}
