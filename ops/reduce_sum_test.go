package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestReduceSum(t *testing.T) {
	testReduction(t, "ReduceSum", 13)
	Run(t, []Case{
		{Op: "ReduceSum", In: Vals(I32([]int{2, 2}, 1, -2, 3, math.MaxInt32), I64([]int{1}, 1)), Want: Vals(I32([]int{2, 1}, -1, math.MinInt32+2))},
		{Op: "ReduceSum", In: Vals(Of([]int{2}, uint64(1), uint64(2))), Want: Vals(Of([]int{1}, uint64(3)))},
		{Op: "ReduceSum", In: Vals(Of([]int{2}, uint32(1), uint32(2))), Want: Vals(Of([]int{1}, uint32(3)))},
		{Op: "ReduceSum", In: Vals(F64([]int{2, 2}, 1, 2, 3, 4), I64([]int{1}, 0)), Want: Vals(F64([]int{1, 2}, 4, 6))},
	})
}

func TestReduceSumGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ReduceSum", In: Vals(Normal(1, 2, 3, 4), I64([]int{2}, 0, -1))},
		{Op: "ReduceSum", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4), I64([]int{1}, 1))},
		{Op: "ReduceSum", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3))},
		{Op: "ReduceSum", Attrs: onnx.NewAttrs("noop_with_empty_axes", 1, "keepdims", 0), In: Vals(Normal(1, 2, 3))},
	})
}
