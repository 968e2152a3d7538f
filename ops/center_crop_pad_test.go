package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestCenterCropPad(t *testing.T) {
	x := I64([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "CenterCropPad", In: Vals(x, I64(nil, 1, 2)), Want: Vals(I64([]int{1, 2}, 1, 2))},
		{Op: "CenterCropPad", In: Vals(x, I64(nil, 3, 1)), Want: Vals(I64([]int{3, 1}, 2, 5, 0))},
		{Op: "CenterCropPad", Attrs: a("axes", []int{-1}), In: Vals(x, I32([]int{1}, 6)), Want: Vals(I64([]int{2, 6}, 0, 1, 2, 3, 0, 0, 0, 4, 5, 6, 0, 0))},
		{Op: "CenterCropPad", In: Vals(F32([]int{0}), I64(nil, 2)), Want: Vals(F32([]int{2}, 0, 0))},
		{Op: "CenterCropPad", In: Vals(x, I64(nil, 0, 2)), Want: Vals(I64([]int{0, 2}))},
		{Op: "CenterCropPad", In: Vals(x, I64(nil, 1)), Want: Vals(x), Err: "shape has 1 elements, want 2"},
		{Op: "CenterCropPad", In: Vals(x, I64(nil, -1, 2)), Want: Vals(x), Err: "dimension -1"},
	})
}

func TestCenterCropPadGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "CenterCropPad", In: Vals(Normal(1, 5, 4), I64([]int{2}, 2, 7))},
		{Op: "CenterCropPad", Attrs: onnx.NewAttrs("axes", []int{-1}), In: Vals(Normal(1, 3, 4), I64([]int{1}, 7))},
	})
}
