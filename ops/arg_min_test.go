package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestArgMin(t *testing.T) {
	x := I32([]int{2, 3}, 1, 3, 1, 4, 0, 2)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "ArgMin", In: Vals(x), Want: Vals(I64([]int{1, 3}, 0, 1, 0))},
		{Op: "ArgMin", Opset: 12, Attrs: a("axis", 1, "select_last_index", 1), In: Vals(x), Want: Vals(I64([]int{2, 1}, 2, 1))},
		{Op: "ArgMin", Opset: 1, Attrs: a("axis", 1, "keepdims", 0), In: Vals(x), Want: Vals(I64(nil, 0, 1))},
		{Op: "ArgMin", Attrs: a("axis", -3), In: Vals(x), Want: Vals(x), Err: "axis -3"},
	})
}
