package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestReduceMean(t *testing.T) {
	testReduction(t, "ReduceMean", 18)
	Run(t, []Case{
		{Op: "ReduceMean", In: Vals(I64([]int{2, 2}, 1, -2, 3, -3), I64([]int{1}, 0)), Want: Vals(I64([]int{1, 2}, 2, -2))},
		{Op: "ReduceMean", In: Vals(I64([]int{2, 0}), I64([]int{1}, 1)), Want: Vals(I64([]int{2, 1}, 0, 0)), Err: "no mean of no elements"},
	})
}

func TestReduceMeanGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ReduceMean", In: Vals(Normal(1, 2, 3, 4), I64([]int{2}, 0, -1))},
		{Op: "ReduceMean", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4), I64([]int{1}, 1))},
		{Op: "ReduceMean", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3))},
		{Op: "ReduceMean", Attrs: onnx.NewAttrs("noop_with_empty_axes", 1, "keepdims", 0), In: Vals(Normal(1, 2, 3))},
	})
}
