package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestShrink(t *testing.T) {
	hard := onnx.NewAttrs("lambd", 1.5)
	soft := onnx.NewAttrs("lambd", 1.5, "bias", 1.5)
	x := []float32{-2, -1, 0, 1, 2}
	Run(t, []Case{
		{Op: "Shrink", Attrs: hard, In: Vals(F32([]int{5}, x...)), Want: Vals(F32([]int{5}, -2, 0, 0, 0, 2))},
		{Op: "Shrink", Attrs: soft, In: Vals(F32([]int{5}, x...)), Want: Vals(F32([]int{5}, -0.5, 0, 0, 0, 0.5))},
		{Op: "Shrink", Attrs: soft, In: Vals(F64([]int{2, 1}, -2, 4)), Want: Vals(F64([]int{2, 1}, -0.5, 2.5))},
		{Op: "Shrink", In: Vals(F32([]int{2}, float32(math.NaN()), 3)), Want: Vals(F32([]int{2}, 0, 3))},
		{Op: "Shrink", Attrs: hard, In: Vals(I32([]int{3}, -2, 1, 7)), Want: Vals(I32([]int{3}, -2, 0, 7))},
		{Op: "Shrink", In: Vals(Of([]int{2}, uint8(0), uint8(7))), Want: Vals(Of([]int{2}, uint8(0), uint8(7)))},
		{Op: "Shrink", In: Vals(Of([]int{1}, "a")), Want: Vals(I32([]int{1}, 0)), Err: "not supported"},
	})
}

func TestShrinkGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Shrink", Attrs: onnx.NewAttrs("bias", float32(0.25)), In: Vals(F64([]int{2, 3}, -2.5, -0.7, -0.1, 0.2, 0.9, 3.7))},
		{Op: "Shrink", Attrs: onnx.NewAttrs("lambd", float32(0.8)), In: Vals(F64([]int{2, 3}, -2.5, -0.7, -0.1, 0.2, 0.9, 3.7))},
	})
}
