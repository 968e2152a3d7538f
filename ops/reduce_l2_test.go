package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestReduceL2(t *testing.T) {
	testReduction(t, "ReduceL2", 18)
	Run(t, []Case{
		{Op: "ReduceL2", In: Vals(I32([]int{2}, 3, -4)), Want: Vals(I32([]int{1}, 5))},
		{Op: "ReduceL2", In: Vals(F32([]int{2}, 3e30, -4e30)), Want: Vals(F32([]int{1}, 5e30))},
	})
}
