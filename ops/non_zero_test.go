package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestNonZero(t *testing.T) {
	nan := float32(math.NaN())
	Run(t, []Case{
		{Op: "NonZero", In: Vals(I64([]int{2, 2}, 1, 0, 1, 1)), Want: Vals(I64([]int{2, 3}, 0, 1, 1, 0, 0, 1))},
		{Op: "NonZero", Opset: 9, In: Vals(F32([]int{4}, 0, nan, float32(math.Copysign(0, -1)), 2)), Want: Vals(I64([]int{1, 2}, 1, 3))},
		{Op: "NonZero", In: Vals(Of([]int{3}, false, true, false)), Want: Vals(I64([]int{1, 1}, 1))},
		{Op: "NonZero", In: Vals(F32([]int{}, 5)), Want: Vals(I64([]int{0, 1}))},
		{Op: "NonZero", In: Vals(F32([]int{2, 0})), Want: Vals(I64([]int{2, 0}))},
	})
}
