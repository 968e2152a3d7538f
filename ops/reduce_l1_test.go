package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestReduceL1(t *testing.T) {
	testReduction(t, "ReduceL1", 18)
	Run(t, []Case{
		{Op: "ReduceL1", In: Vals(I32([]int{2, 2}, 1, -2, 3, -4), I64([]int{1}, 0)), Want: Vals(I32([]int{1, 2}, 4, 6))},
		{Op: "ReduceL1", In: Vals(F32([]int{2}, 1, -2)), Want: Vals(F32([]int{1}, 3))},
	})
}

func TestReduceL1Gradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ReduceL1", In: Vals(Normal(1, 2, 3, 4), I64([]int{2}, 0, -1))},
		{Op: "ReduceL1", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4), I64([]int{1}, 1))},
		{Op: "ReduceL1", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4))},
		{Op: "ReduceL1", Attrs: onnx.NewAttrs("noop_with_empty_axes", 1, "keepdims", 0), In: Vals(Normal(1, 3, 2))},
	})
}
