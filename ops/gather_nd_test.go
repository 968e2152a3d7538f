package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestGatherND(t *testing.T) {
	x := I64([]int{2, 2}, 0, 1, 2, 3)
	y := I64([]int{2, 2, 2}, 0, 1, 2, 3, 4, 5, 6, 7)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "GatherND", In: Vals(x, I64([]int{2, 2}, 0, 0, 1, -1)), Want: Vals(I64(nil, 0, 3))},
		{Op: "GatherND", Opset: 11, In: Vals(x, I64([]int{2, 1}, 1, 0)), Want: Vals(I64([]int{2, 2}, 2, 3, 0, 1))},
		{Op: "GatherND", In: Vals(y, I64([]int{2, 1, 2}, 0, 1, 1, 0)), Want: Vals(I64([]int{2, 1, 2}, 2, 3, 4, 5))},
		{Op: "GatherND", Attrs: a("batch_dims", 1), In: Vals(y, I64([]int{2, 1}, 1, 0)), Want: Vals(I64([]int{2, 2}, 2, 3, 4, 5))},
		{Op: "GatherND", Attrs: a("batch_dims", 1), In: Vals(y, I64([]int{2, 2, 1}, 1, 0, 0, 0)), Want: Vals(I64([]int{2, 2, 2}, 2, 3, 0, 1, 4, 5, 4, 5))},
		{Op: "GatherND", In: Vals(x, I64([]int{0, 1})), Want: Vals(I64([]int{0, 2}))},
		{Op: "GatherND", In: Vals(x, I64([]int{1, 1}, 2)), Want: Vals(x), Err: "index 2 is not in [-2, 1]"},
		{Op: "GatherND", In: Vals(x, I64([]int{1, 3}, 0, 0, 0)), Want: Vals(x), Err: "tuples of 3, want"},
		{Op: "GatherND", Attrs: a("batch_dims", 2), In: Vals(y, I64([]int{2, 1}, 1, 0)), Want: Vals(x), Err: "batch_dims is 2"},
	})
}

func TestGatherNDGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "GatherND", In: Vals(Normal(1, 3, 4), I64([]int{3, 2}, 1, 2, 0, -1, 1, 2))},
		{Op: "GatherND", In: Vals(Normal(1, 3, 4), I64([]int{2, 1}, 2, 2))},
		{Op: "GatherND", Attrs: onnx.NewAttrs("batch_dims", 1), In: Vals(Normal(1, 2, 3, 2), I64([]int{2, 1}, 1, 0))},
	})
}
