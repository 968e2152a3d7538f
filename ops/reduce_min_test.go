package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestReduceMin(t *testing.T) {
	testReduction(t, "ReduceMin", 18)
	Run(t, []Case{
		{Op: "ReduceMin", In: Vals(Of([]int{2, 2}, true, false, true, true), I64([]int{1}, 1)), Want: Vals(Of([]int{2, 1}, false, true))},
		{Op: "ReduceMin", In: Vals(Of([]int{2, 0}, []bool{}...), I64([]int{1}, 1)), Want: Vals(Of([]int{2, 1}, true, true))},
		{Op: "ReduceMin", In: Vals(Of([]int{2}, int8(-3), int8(-5))), Want: Vals(Of([]int{1}, int8(-5)))},
		{Op: "ReduceMin", In: Vals(Of([]int{0}, []uint8{}...)), Want: Vals(Of([]int{1}, uint8(255)))},
		{Op: "ReduceMin", In: Vals(I64([]int{0})), Want: Vals(I64([]int{1}, math.MaxInt64))},
		{Op: "ReduceMin", In: Vals(F32([]int{3}, 1, float32(math.NaN()), 2)), Want: Vals(F32([]int{1}, float32(math.NaN())))},
	})
}

func TestReduceMinGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ReduceMin", In: Vals(Distinct(1, -3, 0.3, 2, 3, 4), I64([]int{2}, 0, -1))},
		{Op: "ReduceMin", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Distinct(1, -3, 0.3, 2, 3, 4), I64([]int{1}, 1))},
		{Op: "ReduceMin", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Distinct(1, -3, 0.3, 2, 3, 4))},
		{Op: "ReduceMin", Attrs: onnx.NewAttrs("noop_with_empty_axes", 1, "keepdims", 0), In: Vals(Distinct(1, -3, 0.3, 3, 2))},
		{Op: "ReduceMin", In: Vals(F64([]int{2, 2}, 1, 1, 3, 4), I64([]int{1}, 1))}, // a tie: the mean of the slopes of both sides
	})
}
