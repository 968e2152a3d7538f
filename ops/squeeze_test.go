package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestSqueeze(t *testing.T) {
	x := F32([]int{1, 2, 1}, 1, 2)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Squeeze", In: Vals(x), Want: Vals(F32([]int{2}, 1, 2))},
		{Op: "Squeeze", In: Vals(x, I64(nil, -1)), Want: Vals(F32([]int{1, 2}, 1, 2))},
		{Op: "Squeeze", In: Vals(x, I64([]int{0})), Want: Vals(x)},
		{Op: "Squeeze", In: Vals(I64(nil, 5), I64(nil, 0)), Want: Vals(I64([]int{}, 5))},
		{Op: "Squeeze", Opset: 1, Attrs: a("axes", []int{0}), In: Vals(x), Want: Vals(F32([]int{2, 1}, 1, 2))},
		{Op: "Squeeze", Opset: 11, In: Vals(x), Want: Vals(F32([]int{2}, 1, 2))},
		{Op: "Squeeze", In: Vals(x, I64(nil, 1)), Want: Vals(x), Err: "dimension 1 of data is 2, want 1"},
		{Op: "Squeeze", In: Vals(x, I64(nil, 3)), Want: Vals(x), Err: "axis 3 is not in [-3, 2]"},
		{Op: "Squeeze", In: Vals(x, I64(nil, 0, -3)), Want: Vals(x), Err: "given twice"},
	})
}

func TestSqueezeGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Squeeze", In: Vals(Normal(1, 2, 1, 3), I64([]int{1}, 1))},
		{Op: "Squeeze", In: Vals(Normal(1, 2, 1, 3))},
	})
}
