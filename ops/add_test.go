package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestAdd(t *testing.T) {
	a, b := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6), F32([]int{3}, 10, 20, 30)
	want := F32([]int{2, 3}, 11, 22, 33, 14, 25, 36)
	h := func(v ...float32) []tensor.F16 {
		out := make([]tensor.F16, len(v))
		for i, x := range v {
			out[i] = tensor.F16Of(x)
		}
		return out
	}
	legacy := onnx.NewAttrs("broadcast", 1)
	Run(t, []Case{
		{Op: "Add", In: Vals(a, b), Want: Vals(want)},
		{Op: "Add", Opset: 1, Attrs: onnx.NewAttrs("broadcast", 1, "consumed_inputs", []int{0, 0}), In: Vals(a, b), Want: Vals(want)},
		{Op: "Add", Opset: 6, Attrs: legacy.Set("axis", int64(1)), In: Vals(a, b), Want: Vals(want)},
		{Op: "Add", Opset: 6, Attrs: onnx.NewAttrs("broadcast", 1, "axis", 0), In: Vals(F32([]int{3, 1}, 1, 2, 3), b), Want: Vals(F32([]int{3, 1}, 11, 22, 33))},
		{Op: "Add", Opset: 6, In: Vals(a, b), Want: Vals(want), Err: "want A's shape [2 3]"},
		{Op: "Add", Opset: 6, Attrs: onnx.NewAttrs("broadcast", 1, "axis", 2), In: Vals(a, b), Want: Vals(want), Err: "want a part of A's shape"},
		{Op: "Add", In: Vals(Of([]int{2, 3}, h(1, 2, 3, 4, 5, 6)...), Of([]int{3}, h(10, 20, 30)...)), Want: Vals(Of([]int{2, 3}, h(11, 22, 33, 14, 25, 36)...))},
		{Op: "Add", In: Vals(F32([]int{0, 1}), b), Want: Vals(F32([]int{0, 3}))},
		{Op: "Add", In: Vals(a, F32([]int{2}, 1, 2)), Want: Vals(a), Err: "3"},
		{Op: "Add", In: Vals(a, F64([]int{}, 1)), Want: Vals(a), Err: "input 1 is float64, want float32"},
		{Op: "Add", In: Vals(Of([]int{2}, uint8(200), 3), Of([]int{}, uint8(100))), Want: Vals(Of([]int{2}, uint8(44), 103))},
		{Op: "Add", In: Vals(I64([]int{2, 1}, 5, -6), I64([]int{2}, 7, 8)), Want: Vals(I64([]int{2, 2}, 12, 13, 1, 2))},
	})
}

func TestAddGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Add", In: Vals(Normal(1, 2, 3), Normal(2, 2, 3))},
		{Op: "Add", In: Vals(Normal(1, 4, 2, 3), Normal(2, 3))},
		{Op: "Add", In: Vals(Normal(1, 2, 1), Normal(2, 5, 1, 3))},
		{Op: "Add", In: Vals(Normal(1), Normal(2, 2))},
	})
}
