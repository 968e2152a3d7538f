package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestTensorScatter(t *testing.T) {
	x := I64([]int{2, 3, 1}, 1, 2, 3, 4, 5, 6)
	u := I64([]int{2, 2, 1}, 10, 20, 30, 40)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "TensorScatter", In: Vals(x, u), Want: Vals(I64([]int{2, 3, 1}, 10, 20, 3, 30, 40, 6))},
		{Op: "TensorScatter", In: Vals(x, u, I64(nil, 1, 0)), Want: Vals(I64([]int{2, 3, 1}, 1, 10, 20, 30, 40, 6))},
		{Op: "TensorScatter", Attrs: a("mode", "circular"), In: Vals(x, u, I64(nil, 2, 4)), Want: Vals(I64([]int{2, 3, 1}, 20, 2, 10, 4, 30, 40))},
		{Op: "TensorScatter", Attrs: a("axis", 2), In: Vals(I64([]int{1, 2, 2}, 1, 2, 3, 4), I64([]int{1, 2, 1}, 8, 9), I64(nil, 1)), Want: Vals(I64([]int{1, 2, 2}, 1, 8, 3, 9))},
		{Op: "TensorScatter", In: Vals(x, u, I64(nil, 2, 0)), Want: Vals(x), Err: "write index 2 with 2 steps is out of a cache of 3"},
		{Op: "TensorScatter", In: Vals(x, u, I64(nil, 2)), Want: Vals(x), Err: "1 elements, want 2"},
		{Op: "TensorScatter", Attrs: a("axis", 0), In: Vals(x, u), Want: Vals(x), Err: "axis 0 is the batch"},
		{Op: "TensorScatter", In: Vals(u, x), Want: Vals(x), Err: "only dimension 1 may differ"},
	})
}

func TestTensorScatterGradient(t *testing.T) {
	a := onnx.NewAttrs
	Gradients(t, []GradCase{
		{Op: "TensorScatter", In: Vals(Normal(1, 2, 5, 3), Normal(2, 2, 2, 3))},
		{Op: "TensorScatter", In: Vals(Normal(1, 2, 3, 5, 2), Normal(2, 2, 3, 2, 2), I64(nil, 1, 3))},
		{Op: "TensorScatter", Attrs: a("mode", "circular"), In: Vals(Normal(1, 2, 5, 3), Normal(2, 2, 4, 3), I64(nil, 3, 12))},
		{Op: "TensorScatter", Attrs: a("mode", "circular", "axis", 3), In: Vals(Normal(1, 2, 2, 3, 4), Normal(2, 2, 2, 3, 3), I64(nil, 2, 0))},
		{Op: "TensorScatter", In: Vals(Normal(1, 2, 5, 3), Normal(2, 2, 0, 3))},
	})
}
