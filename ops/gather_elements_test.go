package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestGatherElements(t *testing.T) {
	x := F32([]int{2, 2}, 1, 2, 3, 4)
	y := I64([]int{3, 3}, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "GatherElements", Attrs: a("axis", 1), In: Vals(x, I64([]int{2, 2}, 0, 0, 1, 0)), Want: Vals(F32([]int{2, 2}, 1, 1, 4, 3))},
		{Op: "GatherElements", Opset: 11, In: Vals(y, I32([]int{2, 3}, -2, -1, -3, 2, 0, 0)), Want: Vals(I64([]int{2, 3}, 4, 8, 3, 7, 2, 3))},
		{Op: "GatherElements", Attrs: a("axis", -1), In: Vals(y, I64([]int{2, 1}, 2, 0)), Want: Vals(I64([]int{2, 1}, 3, 4))},
		{Op: "GatherElements", In: Vals(y, I64([]int{5, 2}, 0, -1, 2, 1, -3, 0, 1, 1, 2, -2)), Want: Vals(I64([]int{5, 2}, 1, 8, 7, 5, 1, 2, 4, 5, 7, 5))},
		{Op: "GatherElements", Attrs: a("axis", 1), In: Vals(Of([]int{2, 3, 2}, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"), I64([]int{2, 2, 2}, 0, 1, 2, -1, -3, 1, 0, 2)),
			Want: Vals(Of([]int{2, 2, 2}, "a", "d", "e", "f", "g", "j", "g", "l"))},
		{Op: "GatherElements", Attrs: a("axis", 1), In: Vals(Of([]int{4, 2}, true, false, true, true, false, false, false, true), I64([]int{4, 1}, 1, -2, 0, -1)), Want: Vals(Of([]int{4, 1}, false, true, false, true))},
		{Op: "GatherElements", Attrs: a("axis", 1), In: Vals(y, I64([]int{3, 3}, 0, 1, 2, 0, 1, -4, 0, 1, 2)), Want: Vals(y), Err: "index -4 is not in [-3, 2]"},
		{Op: "GatherElements", In: Vals(y, I64([]int{4, 2}, 0, 1, 2, 0, 1, 3, 0, 1)), Want: Vals(y), Err: "index 3 is not in [-3, 2]"},
		{Op: "GatherElements", In: Vals(y, I64([]int{5, 4}, make([]int64, 20)...)), Want: Vals(y), Err: "dimension 1 is larger"},
		{Op: "GatherElements", In: Vals(y, I64([]int{0, 3})), Want: Vals(I64([]int{0, 3}))},
		{Op: "GatherElements", In: Vals(Of([]int{2}, "a", "b"), I64([]int{3}, 1, 0, 1)), Want: Vals(Of([]int{3}, "b", "a", "b"))},
		{Op: "GatherElements", In: Vals(y, I64([]int{1}, 0)), Want: Vals(y), Err: "want rank 2"},
		{Op: "GatherElements", In: Vals(y, I64([]int{1, 4}, 0, 0, 0, 0)), Want: Vals(y), Err: "dimension 1 is larger"},
		{Op: "GatherElements", In: Vals(y, I64([]int{1, 1}, 3)), Want: Vals(y), Err: "index 3 is not in [-3, 2]"},
	})
}

func TestGatherElementsGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "GatherElements", Attrs: onnx.NewAttrs("axis", 1), In: Vals(Normal(1, 3, 4), I64([]int{2, 3}, 1, -1, 1, 0, 2, 0))},
	})
}
