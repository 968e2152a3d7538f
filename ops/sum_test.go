package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestSum(t *testing.T) {
	a, b := []float32{1, 5, 3, -2, 0, 9}, []float32{2, 2, 4}
	Run(t, []Case{
		{Op: "Sum", In: Vals(F32([]int{2, 3}, a...), F32([]int{3}, b...), F32([]int{}, 3)), Want: Vals(F32([]int{2, 3}, 6.0, 10.0, 10.0, 3.0, 5.0, 16.0))},
		{Op: "Sum", In: Vals(F32([]int{}, 3), F32([]int{1}, 4), F32([]int{2, 1}, 1, 2)), Want: Vals(F32([]int{2, 1}, 8.0, 9.0))},
		{Op: "Sum", In: Vals(F64([]int{2}, 1, 2), F64([]int{1}, 1.5)), Want: Vals(F64([]int{2}, 2.5, 3.5))},
		{Op: "Sum", In: Vals(Of([]int{2}, tensor.F16Of(60000), tensor.F16Of(2)), Of([]int{}, tensor.F16Of(-60000))), Want: Vals(Of([]int{2}, tensor.F16Of(0), tensor.F16Of(-59998)))},
		{Op: "Sum", Opset: 1, Attrs: onnx.NewAttrs("consumed_inputs", []int{0}), In: Vals(F32([]int{2}, 1, 2)), Want: Vals(F32([]int{2}, 1, 2))},
		{Op: "Sum", In: Vals(F32([]int{2, 0}), F32([]int{1}, 1)), Want: Vals(F32([]int{2, 0}))},
		{Op: "Sum", In: Vals(F32([]int{2}, 1, 2), F32([]int{3}, 1, 2, 3)), Want: Vals(F32([]int{1}, 0)), Err: "2"},
		{Op: "Sum", In: Vals(I32([]int{1}, 1), I32([]int{1}, 1)), Want: Vals(I32([]int{1}, 0)), Err: "not supported"},
	})
}

func TestSumGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Sum", In: Vals(Normal(1, 2, 3), Normal(2, 3), Normal(3, 2, 1))},
		{Op: "Sum", In: Vals(Normal(1, 2))},
	})
}
