package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestSplitToSequence(t *testing.T) {
	x := I64([]int{3, 2}, 1, 2, 3, 4, 5, 6)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "SplitToSequence", In: Vals(x), Want: Vals(seq(I64([]int{1, 2}, 1, 2), I64([]int{1, 2}, 3, 4), I64([]int{1, 2}, 5, 6)))},
		{Op: "SplitToSequence", Attrs: a("axis", -1, "keepdims", 0), In: Vals(x), Want: Vals(seq(I64([]int{3}, 1, 3, 5), I64([]int{3}, 2, 4, 6)))},
		{Op: "SplitToSequence", Attrs: a("keepdims", 0), In: Vals(x, I64([]int{}, 2)), Want: Vals(seq(I64([]int{2, 2}, 1, 2, 3, 4), I64([]int{1, 2}, 5, 6)))},
		{Op: "SplitToSequence", Opset: 11, In: Vals(x, I32([]int{2}, 1, 2)), Want: Vals(seq(I64([]int{1, 2}, 1, 2), I64([]int{2, 2}, 3, 4, 5, 6)))},
		{Op: "SplitToSequence", In: Vals(x, I64([]int{}, 0)), Want: Vals(seq(x)), Err: "split is 0"},
		{Op: "SplitToSequence", In: Vals(x, I64(nil, 1, 1)), Want: Vals(seq(x)), Err: "sum 2, want 3"},
	})
}
