package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestConcatFromSequence(t *testing.T) {
	x, y := I64([]int{1, 2}, 1, 2), I64([]int{1, 2}, 3, 4)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "ConcatFromSequence", Attrs: a("axis", 0), In: Vals(seq(x, y)), Want: Vals(I64([]int{2, 2}, 1, 2, 3, 4))},
		{Op: "ConcatFromSequence", Attrs: a("axis", -1), In: Vals(seq(x, y)), Want: Vals(I64([]int{1, 4}, 1, 2, 3, 4))},
		{Op: "ConcatFromSequence", Attrs: a("axis", -1, "new_axis", 1), In: Vals(seq(x, y)), Want: Vals(I64([]int{1, 2, 2}, 1, 3, 2, 4))},
		{Op: "ConcatFromSequence", Attrs: a("axis", 0, "new_axis", 1), In: Vals(seq(x)), Want: Vals(I64([]int{1, 1, 2}, 1, 2))},
		{Op: "ConcatFromSequence", In: Vals(seq(x)), Want: Vals(x), Err: "axis"},
		{Op: "ConcatFromSequence", Attrs: a("axis", 0), In: Vals(seq()), Want: Vals(x), Err: "the sequence is empty"},
	})
}
