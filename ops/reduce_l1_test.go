package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestReduceL1(t *testing.T) {
	testReduction(t, "ReduceL1", 18)
	Run(t, []Case{
		{Op: "ReduceL1", In: Vals(I32([]int{2, 2}, 1, -2, 3, -4), I64([]int{1}, 0)), Want: Vals(I32([]int{1, 2}, 4, 6))},
		{Op: "ReduceL1", In: Vals(F32([]int{2}, 1, -2)), Want: Vals(F32([]int{1}, 3))},
	})
}
