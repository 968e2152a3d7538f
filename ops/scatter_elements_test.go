package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestScatterElements(t *testing.T) {
	x := F32([]int{1, 5}, 1, 2, 3, 4, 5)
	idx, u := I64([]int{1, 2}, 1, 3), F32([]int{1, 2}, 10, 20)
	dup := I64([]int{1, 2}, 1, -4)
	a := onnx.NewAttrs
	h := func(v ...float32) *tensor.Tensor {
		f := make([]tensor.F16, len(v))
		for i, x := range v {
			f[i] = tensor.F16Of(x)
		}
		return Of([]int{len(v)}, f...)
	}
	Run(t, []Case{
		{Op: "ScatterElements", Attrs: a("axis", 1), In: Vals(x, idx, u), Want: Vals(F32([]int{1, 5}, 1, 10, 3, 20, 5))},
		{Op: "ScatterElements", Opset: 11, Attrs: a("axis", -1), In: Vals(x, dup, u), Want: Vals(F32([]int{1, 5}, 1, 20, 3, 4, 5))},
		{Op: "ScatterElements", Attrs: a("axis", 1, "reduction", "add"), In: Vals(x, dup, u), Want: Vals(F32([]int{1, 5}, 1, 32, 3, 4, 5))},
		{Op: "ScatterElements", Attrs: a("axis", 1, "reduction", "mul"), In: Vals(x, dup, u), Want: Vals(F32([]int{1, 5}, 1, 400, 3, 4, 5))},
		{Op: "ScatterElements", Attrs: a("axis", 1, "reduction", "max"), In: Vals(x, dup, u), Want: Vals(F32([]int{1, 5}, 1, 20, 3, 4, 5))},
		{Op: "ScatterElements", Attrs: a("axis", 1, "reduction", "min"), In: Vals(x, dup, u), Want: Vals(x)},
		{Op: "ScatterElements", In: Vals(I64([]int{3, 3}, 0, 0, 0, 0, 0, 0, 0, 0, 0), I64([]int{2, 3}, 1, 0, 2, 0, 2, 1), I64([]int{2, 3}, 1, 2, 3, 4, 5, 6)),
			Want: Vals(I64([]int{3, 3}, 4, 2, 0, 1, 0, 6, 0, 5, 3))},
		{Op: "ScatterElements", Attrs: a("reduction", "add"), In: Vals(h(1, 2), I64(nil, 1), h(0.5)), Want: Vals(h(1, 2.5))},
		{Op: "ScatterElements", Attrs: a("reduction", "add"), In: Vals(Of([]int{2}, false, true), I64(nil, 0), Of([]int{1}, true)), Want: Vals(Of([]int{2}, true, true))},
		{Op: "ScatterElements", In: Vals(Of([]int{2}, "a", "b"), I64(nil, 1), Of([]int{1}, "c")), Want: Vals(Of([]int{2}, "a", "c"))},
		{Op: "ScatterElements", In: Vals(x, I64([]int{0, 5}), F32([]int{0, 5})), Want: Vals(x)},
		{Op: "ScatterElements", Attrs: a("axis", 1), In: Vals(x, I64([]int{1, 1}, 5), F32([]int{1, 1}, 1)), Want: Vals(x), Err: "index 5 is not in [-5, 4]"},
		{Op: "ScatterElements", In: Vals(x, idx, F32([]int{2}, 1, 2)), Want: Vals(x), Err: "want the same"},
		{Op: "ScatterElements", Attrs: a("reduction", "sum"), In: Vals(x, idx, u), Want: Vals(x), Err: "sum"},
	})
}

func TestScatterElementsGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "none", "axis", 1), In: Vals(Normal(1, 3, 4), I64([]int{2, 2}, 1, 0, 2, -1), Normal(2, 2, 2))},
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "add", "axis", 1), In: Vals(Normal(1, 3, 4), I64([]int{2, 2}, 1, 1, 2, -1), Normal(2, 2, 2))},
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "mul", "axis", 1), In: Vals(Normal(1, 3, 4), I64([]int{2, 2}, 1, 1, 2, -1), Normal(2, 2, 2))},
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "mul", "axis", 1), In: Vals(F64([]int{3, 4}, 0, 2, 0, 4, 5, 0, 7, 8, 9, 1, 2, 3), I64([]int{2, 2}, 1, 1, 2, -1), F64([]int{2, 2}, 3, 0, 0, 2))},
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "max", "axis", 1), In: Vals(Distinct(1, -2, 0.3, 3, 4), I64([]int{2, 2}, 1, 1, 2, -1), Distinct(2, -2.1, 0.9, 2, 2))},
		{Op: "ScatterElements", Attrs: onnx.NewAttrs("reduction", "min", "axis", 1), In: Vals(Distinct(1, -2, 0.3, 3, 4), I64([]int{2, 2}, 1, 1, 2, -1), Distinct(2, -2.1, 0.9, 2, 2))},
	})
}
