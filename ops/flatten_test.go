package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestFlatten(t *testing.T) {
	d := []float32{1, 2, 3, 4, 5, 6, 7, 8}
	x := F32([]int{2, 2, 2}, d...)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Flatten", In: Vals(x), Want: Vals(F32([]int{2, 4}, d...))},
		{Op: "Flatten", Opset: 1, Attrs: a("axis", 0), In: Vals(x), Want: Vals(F32([]int{1, 8}, d...))},
		{Op: "Flatten", Attrs: a("axis", 3), In: Vals(x), Want: Vals(F32([]int{8, 1}, d...))},
		{Op: "Flatten", Attrs: a("axis", -1), In: Vals(x), Want: Vals(F32([]int{4, 2}, d...))},
		{Op: "Flatten", Attrs: a("axis", 0), In: Vals(F32([]int{}, 1)), Want: Vals(F32([]int{1, 1}, 1))},
		{Op: "Flatten", In: Vals(F32([]int{0, 3})), Want: Vals(F32([]int{0, 3}))},
		{Op: "Flatten", Attrs: a("axis", 4), In: Vals(x), Want: Vals(x), Err: "axis 4 is not in [-3, 3]"},
	})
}

func TestFlattenGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Flatten", Attrs: onnx.NewAttrs("axis", 2), In: Vals(Normal(1, 2, 3, 4))},
	})
}
