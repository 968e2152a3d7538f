package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestReduceLogSum(t *testing.T) {
	testReduction(t, "ReduceLogSum", 18)
	Run(t, []Case{
		{Op: "ReduceLogSum", In: Vals(F32([]int{0})), Want: Vals(F32([]int{1}, float32(math.Inf(-1))))},
		{Op: "ReduceLogSum", Opset: 18, In: Vals(I32([]int{2}, 4, 5)), Want: Vals(I32([]int{1}, 2))},
	})
}

func TestReduceLogSumGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ReduceLogSum", In: Vals(Between(1, 0.2, 2, 2, 3, 4), I64([]int{2}, 0, -1))},
		{Op: "ReduceLogSum", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Between(1, 0.2, 2, 2, 3, 4), I64([]int{1}, 1))},
		{Op: "ReduceLogSum", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Between(1, 0.2, 2, 2, 3, 4))},
		{Op: "ReduceLogSum", Attrs: onnx.NewAttrs("noop_with_empty_axes", 1, "keepdims", 0), In: Vals(Between(1, 0.2, 2, 3, 2))},
	})
}
