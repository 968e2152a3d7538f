package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestReduceProd(t *testing.T) {
	testReduction(t, "ReduceProd", 18)
	Run(t, []Case{
		{Op: "ReduceProd", In: Vals(I64([]int{2, 2}, 1, -2, 3, 4), I64([]int{1}, 0)), Want: Vals(I64([]int{1, 2}, 3, -8))},
		{Op: "ReduceProd", In: Vals(I64([]int{0})), Want: Vals(I64([]int{1}, 1))},
	})
}
