package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestUnsqueeze(t *testing.T) {
	x := F32([]int{2}, 1, 2)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Unsqueeze", In: Vals(x, I64(nil, 0)), Want: Vals(F32([]int{1, 2}, 1, 2))},
		{Op: "Unsqueeze", In: Vals(x, I64(nil, 2, 0)), Want: Vals(F32([]int{1, 2, 1}, 1, 2))},
		{Op: "Unsqueeze", In: Vals(x, I64(nil, -1)), Want: Vals(F32([]int{2, 1}, 1, 2))},
		{Op: "Unsqueeze", In: Vals(x, I64([]int{}, 0)), Want: Vals(F32([]int{1, 2}, 1, 2))},
		{Op: "Unsqueeze", In: Vals(I64([]int{}, 3), I64(nil, 0)), Want: Vals(I64(nil, 3))},
		{Op: "Unsqueeze", Opset: 1, Attrs: a("axes", []int{1}), In: Vals(x), Want: Vals(F32([]int{2, 1}, 1, 2))},
		{Op: "Unsqueeze", In: Vals(x, I64(nil, 2)), Want: Vals(x), Err: "axis 2 is not in [-2, 1]"},
		{Op: "Unsqueeze", In: Vals(x, I64(nil, 0, 0)), Want: Vals(x), Err: "given twice"},
	})
}

func TestUnsqueezeGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Unsqueeze", In: Vals(Normal(1, 2, 3), I64([]int{2}, 0, -1))},
	})
}
