package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestReduceSumSquare(t *testing.T) {
	testReduction(t, "ReduceSumSquare", 18)
	Run(t, []Case{
		{Op: "ReduceSumSquare", In: Vals(I32([]int{2}, 3, -4)), Want: Vals(I32([]int{1}, 25))},
	})
}

func TestReduceSumSquareGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ReduceSumSquare", In: Vals(Normal(1, 2, 3, 4), I64([]int{2}, 0, -1))},
		{Op: "ReduceSumSquare", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4), I64([]int{1}, 1))},
		{Op: "ReduceSumSquare", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4))},
		{Op: "ReduceSumSquare", Attrs: onnx.NewAttrs("noop_with_empty_axes", 1, "keepdims", 0), In: Vals(Normal(1, 3, 2))},
	})
}
