package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestGather(t *testing.T) {
	x := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Gather", In: Vals(x, I64([]int{}, 1)), Want: Vals(F32([]int{3}, 4, 5, 6))},
		{Op: "Gather", In: Vals(x, I64([]int{2, 1}, 1, -2)), Want: Vals(F32([]int{2, 1, 3}, 4, 5, 6, 1, 2, 3))},
		{Op: "Gather", Opset: 1, Attrs: a("axis", 1), In: Vals(x, I32([]int{2}, 2, 0)), Want: Vals(F32([]int{2, 2}, 3, 1, 6, 4))},
		{Op: "Gather", Attrs: a("axis", -1), In: Vals(x, I32([]int{1}, -1)), Want: Vals(F32([]int{2, 1}, 3, 6))},
		{Op: "Gather", In: Vals(Of([]int{2}, "a", "b"), I64([]int{3}, 1, 1, 0)), Want: Vals(Of([]int{3}, "b", "b", "a"))},
		{Op: "Gather", In: Vals(I64([]int{3}, 7, 8, 9), I64([]int{}, -1)), Want: Vals(I64([]int{}, 9))},
		{Op: "Gather", In: Vals(x, I64([]int{0})), Want: Vals(F32([]int{0, 3}))},
		{Op: "Gather", In: Vals(F32([]int{0, 3}), I64([]int{0})), Want: Vals(F32([]int{0, 3}))},
		{Op: "Gather", In: Vals(x, I64([]int{1}, 2)), Want: Vals(x), Err: "index 2 is not in [-2, 1]"},
		{Op: "Gather", In: Vals(F32([]int{}, 1), I64([]int{1}, 0)), Want: Vals(x), Err: "axis 0 is not in"},
		{Op: "Gather", In: Vals(x, F32([]int{1}, 0)), Want: Vals(x), Err: "want int32 or int64"},
	})
}

func TestGatherGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Gather", In: Vals(Normal(1, 4, 3), I64([]int{2, 2}, 1, -1, 1, 0))},
		{Op: "Gather", Attrs: onnx.NewAttrs("axis", -1), In: Vals(Normal(1, 2, 4), I64([]int{}, 2))},
		{Op: "Gather", Attrs: onnx.NewAttrs("axis", 1), In: Vals(Normal(1, 2, 3, 70), I64([]int{4}, 2, 0, 2, 2))},
	})
}
