package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestDet(t *testing.T) {
	Run(t, []Case{
		{Op: "Det", In: Vals(F32([]int{2, 2}, 0, 1, 2, 3)), Want: Vals(F32([]int{}, -2))},
		{Op: "Det", Opset: 11, In: Vals(F64([]int{2, 2, 2}, 1, 2, 3, 4, 1, 2, 2, 4)), Want: Vals(F64([]int{2}, -2, 0))},
		{Op: "Det", In: Vals(F32([]int{3, 3}, 2, 0, 1, 1, 3, 2, 1, 1, 4)), Want: Vals(F32([]int{}, 18))},
		{Op: "Det", In: Vals(Of([]int{1, 1}, tensor.F16Of(3))), Want: Vals(Of([]int{}, tensor.F16Of(3)))},
		{Op: "Det", In: Vals(F32([]int{1, 0, 0})), Want: Vals(F32([]int{1}, 1))},
		{Op: "Det", In: Vals(F32([]int{1, 2}, 1, 2)), Want: Vals(F32([]int{}, 1)), Err: "want square matrices"},
	})
}

func TestDetGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Det", In: Vals(Normal(1, 2, 3, 4, 4))},
		{Op: "Det", In: Vals(Normal(1, 5, 5))},
		{Op: "Det", In: Vals(Normal(1, 3, 1, 1))},
		{Op: "Det", In: Vals(Normal(1, 2, 0, 0))},
		{Op: "Det", Name: "singular", In: Vals(F64([]int{2, 3, 3}, 1, 2, 3, 2, 4, 6, 1, 0, 1, 1, 2, 3, 2, 4, 6, 3, 6, 9))},
	})
}
