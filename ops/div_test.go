package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestDiv(t *testing.T) {
	a, b := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6), F32([]int{3}, 10, 20, 30)
	want := F32([]int{2, 3}, 0.1, 0.1, 0.1, 0.4, 0.25, 0.2)
	h := func(v ...float32) []tensor.F16 {
		out := make([]tensor.F16, len(v))
		for i, x := range v {
			out[i] = tensor.F16Of(x)
		}
		return out
	}
	legacy := onnx.NewAttrs("broadcast", 1)
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	Run(t, []Case{
		{Op: "Div", In: Vals(a, b), Want: Vals(want)},
		{Op: "Div", Opset: 1, Attrs: onnx.NewAttrs("broadcast", 1, "consumed_inputs", []int{0, 0}), In: Vals(a, b), Want: Vals(want)},
		{Op: "Div", Opset: 6, Attrs: legacy.Set("axis", int64(1)), In: Vals(a, b), Want: Vals(want)},
		{Op: "Div", Opset: 6, Attrs: onnx.NewAttrs("broadcast", 1, "axis", 0), In: Vals(F32([]int{3, 1}, 1, 2, 3), b), Want: Vals(F32([]int{3, 1}, 0.1, 0.1, 0.1))},
		{Op: "Div", Opset: 6, In: Vals(a, b), Want: Vals(want), Err: "want A's shape [2 3]"},
		{Op: "Div", Opset: 6, Attrs: onnx.NewAttrs("broadcast", 1, "axis", 2), In: Vals(a, b), Want: Vals(want), Err: "want a part of A's shape"},
		{Op: "Div", In: Vals(Of([]int{2, 3}, h(1, 2, 3, 4, 5, 6)...), Of([]int{3}, h(10, 20, 30)...)), Want: Vals(Of([]int{2, 3}, h(0.1, 0.1, 0.1, 0.4, 0.25, 0.2)...))},
		{Op: "Div", In: Vals(F32([]int{0, 1}), b), Want: Vals(F32([]int{0, 3}))},
		{Op: "Div", In: Vals(a, F32([]int{2}, 1, 2)), Want: Vals(a), Err: "3"},
		{Op: "Div", In: Vals(a, F64([]int{}, 1)), Want: Vals(a), Err: "input 1 is float64, want float32"},
		{Op: "Div", In: Vals(I32([]int{5}, 7, -7, 7, -7, -2147483648), I32([]int{5}, 2, 2, -2, -2, -1)), Want: Vals(I32([]int{5}, 3, -3, -3, 3, -2147483648))},
		{Op: "Div", In: Vals(I64([]int{2}, 1, 2), I64([]int{2}, 1, 0)), Want: Vals(I64([]int{0})), Err: "B is 0 at element 1"},
		{Op: "Div", In: Vals(I64([]int{0}), I64([]int{}, 0)), Want: Vals(I64([]int{0}))},
		{Op: "Div", In: Vals(F32([]int{3}, 1, -1, 0), F32([]int{}, 0)), Want: Vals(F32([]int{3}, inf, -inf, nan))},
	})
}

func TestDivGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Div", In: Vals(Normal(1, 2, 3), Between(2, 0.5, 2, 2, 3))},
		{Op: "Div", In: Vals(Normal(1, 3), Between(2, 0.5, 2, 2, 1))},
	})
}
