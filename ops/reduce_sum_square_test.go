package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestReduceSumSquare(t *testing.T) {
	testReduction(t, "ReduceSumSquare", 18)
	Run(t, []Case{
		{Op: "ReduceSumSquare", In: Vals(I32([]int{2}, 3, -4)), Want: Vals(I32([]int{1}, 25))},
	})
}
