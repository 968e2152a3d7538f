package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestReduceLogSum(t *testing.T) {
	testReduction(t, "ReduceLogSum", 18)
	Run(t, []Case{
		{Op: "ReduceLogSum", In: Vals(F32([]int{0})), Want: Vals(F32([]int{1}, float32(math.Inf(-1))))},
		{Op: "ReduceLogSum", Opset: 18, In: Vals(I32([]int{2}, 4, 5)), Want: Vals(I32([]int{1}, 2))},
	})
}
