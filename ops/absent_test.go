package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestAbsentInputs(t *testing.T) {
	x, i := F32([]int{2, 1}, 1, 2), I64([]int{1, 1}, 0)
	Run(t, []Case{
		{Op: "Gather", In: Vals(x, nil), Want: Vals(x), Err: "input 1 is absent"},
		{Op: "NonZero", In: Vals(nil), Want: Vals(x), Err: "input 0 is absent"},
		{Op: "Conv", In: Vals(x, nil, x), Want: Vals(x), Err: "input 1 is absent"},
		{Op: "ScatterElements", In: Vals(x, i, nil), Want: Vals(x), Err: "input 2 is absent"},
		{Op: "Concat", Attrs: onnx.NewAttrs("axis", 0), In: Vals(x, nil, x), Want: Vals(x), Err: "input 1 is absent"},
		{Op: "Clip", In: Vals(x, nil, F32([]int{}, 1)), Want: Vals(F32([]int{2, 1}, 1, 1))},
	})
}
