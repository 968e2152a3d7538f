package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestOneHot(t *testing.T) {
	a := onnx.NewAttrs
	v := F32([]int{2}, 0, 1)
	Run(t, []Case{
		{Op: "OneHot", In: Vals(I64(nil, 0, -1, 5, -4), I64([]int{}, 4), v), Want: Vals(F32([]int{4, 4}, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0))},
		{Op: "OneHot", Opset: 9, Attrs: a("axis", 0), In: Vals(F32([]int{2}, 1, 0), F32([]int{1}, 3), I32([]int{2}, 5, 7)), Want: Vals(I32([]int{3, 2}, 5, 7, 7, 5, 5, 5))},
		{Op: "OneHot", Attrs: a("axis", -2), In: Vals(I32([]int{1, 2}, 0, 1), I64([]int{}, 2), Of([]int{2}, "-", "x")), Want: Vals(Of([]int{1, 2, 2}, "x", "-", "-", "x"))},
		{Op: "OneHot", In: Vals(I64([]int{}, 1), I64([]int{}, 2), v), Want: Vals(F32([]int{2}, 0, 1))},
		{Op: "OneHot", In: Vals(I64([]int{0}), I64([]int{}, 2), v), Want: Vals(F32([]int{0, 2}))},
		{Op: "OneHot", In: Vals(I64(nil, 0), I64([]int{}, -2), v), Want: Vals(v), Err: "depth is [-2]"},
		{Op: "OneHot", In: Vals(I64(nil, 0), I64([]int{}, 2), F32([]int{1}, 1)), Want: Vals(v), Err: "values has shape [1], want [2]"},
		{Op: "OneHot", Attrs: a("axis", 2), In: Vals(I64(nil, 0), I64([]int{}, 2), v), Want: Vals(v), Err: "axis 2 is not in [-2, 1]"},
	})
}

func TestOneHotGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "OneHot", Attrs: onnx.NewAttrs("axis", 1), In: Vals(I64([]int{3}, 1, -1, 7), I64([]int{}, 4), Normal(1, 2))},
	})
}
