package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestReduceL2(t *testing.T) {
	testReduction(t, "ReduceL2", 18)
	Run(t, []Case{
		{Op: "ReduceL2", In: Vals(I32([]int{2}, 3, -4)), Want: Vals(I32([]int{1}, 5))},
		{Op: "ReduceL2", In: Vals(F32([]int{2}, 3e30, -4e30)), Want: Vals(F32([]int{1}, 5e30))},
	})
}

func TestReduceL2Gradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ReduceL2", In: Vals(Normal(1, 2, 3, 4), I64([]int{2}, 0, -1))},
		{Op: "ReduceL2", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4), I64([]int{1}, 1))},
		{Op: "ReduceL2", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4))},
		{Op: "ReduceL2", Attrs: onnx.NewAttrs("noop_with_empty_axes", 1, "keepdims", 0), In: Vals(Normal(1, 3, 2))},
	})
}
