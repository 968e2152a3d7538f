package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestLpNormalization(t *testing.T) {
	x := F32([]int{2, 3}, 3, 0, 0, -4, 0, 2)
	Run(t, []Case{
		{Op: "LpNormalization", In: Vals(x), Attrs: onnx.NewAttrs("axis", 0), Want: Vals(F32([]int{2, 3}, 0.6, 0, 0, -0.8, 0, 1))},
		{Op: "LpNormalization", Opset: 1, In: Vals(x), Attrs: onnx.NewAttrs("p", 1), Want: Vals(F32([]int{2, 3}, 1, 0, 0, -2.0/3, 0, 1.0/3))},
		{Op: "LpNormalization", In: Vals(F64([]int{2}, 3, -4)), Want: Vals(F64([]int{2}, 0.6, -0.8))},
		{Op: "LpNormalization", In: Vals(x), Attrs: onnx.NewAttrs("p", 3), Want: Vals(x), Err: "\"p\" is 3, want 1 or 2"},
		{Op: "LpNormalization", In: Vals(x), Attrs: onnx.NewAttrs("axis", 2), Want: Vals(x), Err: "axis 2"},
	})
}

func TestLpNormalizationGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "LpNormalization", In: Vals(Normal(1, 3, 4))},
		{Op: "LpNormalization", Attrs: onnx.NewAttrs("p", 1, "axis", 1), In: Vals(Normal(2, 2, 4, 3))},
	})
}
