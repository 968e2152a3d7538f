package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestReduceProd(t *testing.T) {
	testReduction(t, "ReduceProd", 18)
	Run(t, []Case{
		{Op: "ReduceProd", In: Vals(I64([]int{2, 2}, 1, -2, 3, 4), I64([]int{1}, 0)), Want: Vals(I64([]int{1, 2}, 3, -8))},
		{Op: "ReduceProd", In: Vals(I64([]int{0})), Want: Vals(I64([]int{1}, 1))},
	})
}

func TestReduceProdGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ReduceProd", In: Vals(Normal(1, 2, 3, 4), I64([]int{2}, 0, -1))},
		{Op: "ReduceProd", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4), I64([]int{1}, 1))},
		{Op: "ReduceProd", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4))},
		{Op: "ReduceProd", Attrs: onnx.NewAttrs("noop_with_empty_axes", 1, "keepdims", 0), In: Vals(Normal(1, 3, 2))},
		{Op: "ReduceProd", In: Vals(F64([]int{3, 3}, 2, 0, 3, 0, 4, 0, 5, 6, 7), I64([]int{1}, 1))},
	})
}
