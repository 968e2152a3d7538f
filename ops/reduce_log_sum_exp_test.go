package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestReduceLogSumExp(t *testing.T) {
	testReduction(t, "ReduceLogSumExp", 18)
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	Run(t, []Case{
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{2, 2}, 1000, 1000, -1000, -1000), I64([]int{1}, 1)), Want: Vals(F32([]int{2, 1}, 1000.6931, -999.30685))},
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{2, 2}, 1000, -1000, 1000, -1000), I64([]int{1}, 0)), Want: Vals(F32([]int{1, 2}, 1000.6931, -999.30685))},
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{2, 2}, inf, 1, -inf, -inf), I64([]int{1}, 1)), Want: Vals(F32([]int{2, 1}, inf, -inf))},
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{2, 2}, inf, -inf, 1, -inf), I64([]int{1}, 0)), Want: Vals(F32([]int{1, 2}, inf, -inf))},
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{2, 2}, inf, 1, nan, -inf), I64([]int{1}, 0)), Want: Vals(F32([]int{1, 2}, nan, 1))},
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{0})), Want: Vals(F32([]int{1}, -inf))},
	})
}
