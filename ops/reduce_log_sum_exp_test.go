package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestReduceLogSumExp(t *testing.T) {
	testReduction(t, "ReduceLogSumExp", 18)
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	Run(t, []Case{
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{2, 2}, 1000, 1000, -1000, -1000), I64([]int{1}, 1)), Want: Vals(F32([]int{2, 1}, 1000.6931, -999.30685))},
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{2, 2}, 1000, -1000, 1000, -1000), I64([]int{1}, 0)), Want: Vals(F32([]int{1, 2}, 1000.6931, -999.30685))},
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{2, 2}, inf, 1, -inf, -inf), I64([]int{1}, 1)), Want: Vals(F32([]int{2, 1}, inf, -inf))},
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{2, 2}, inf, -inf, 1, -inf), I64([]int{1}, 0)), Want: Vals(F32([]int{1, 2}, inf, -inf))},
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{2, 2}, inf, 1, nan, -inf), I64([]int{1}, 0)), Want: Vals(F32([]int{1, 2}, nan, 1))},
		{Op: "ReduceLogSumExp", In: Vals(F32([]int{0})), Want: Vals(F32([]int{1}, -inf))},
	})
}

func TestReduceLogSumExpGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ReduceLogSumExp", In: Vals(Normal(1, 2, 3, 4), I64([]int{2}, 0, -1))},
		{Op: "ReduceLogSumExp", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4), I64([]int{1}, 1))},
		{Op: "ReduceLogSumExp", Attrs: onnx.NewAttrs("keepdims", 0), In: Vals(Normal(1, 2, 3, 4))},
		{Op: "ReduceLogSumExp", Attrs: onnx.NewAttrs("noop_with_empty_axes", 1, "keepdims", 0), In: Vals(Normal(1, 3, 2))},
	})
}
