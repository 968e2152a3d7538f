package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMean(t *testing.T) {
	a, b := []float32{1, 5, 3, -2, 0, 9}, []float32{2, 2, 4}
	Run(t, []Case{
		{Op: "Mean", In: Vals(F32([]int{2, 3}, a...), F32([]int{3}, b...), F32([]int{}, 3)), Want: Vals(F32([]int{2, 3}, 2.0, 3.3333333333333335, 3.3333333333333335, 1.0, 1.6666666666666667, 5.333333333333333))},
		{Op: "Mean", In: Vals(F32([]int{}, 3), F32([]int{1}, 4), F32([]int{2, 1}, 1, 2)), Want: Vals(F32([]int{2, 1}, 2.6666666666666665, 3.0))},
		{Op: "Mean", In: Vals(F64([]int{2}, 1, 2), F64([]int{1}, 1.5)), Want: Vals(F64([]int{2}, 1.25, 1.75))},
		{Op: "Mean", In: Vals(Of([]int{2}, tensor.F16Of(60000), tensor.F16Of(2)), Of([]int{}, tensor.F16Of(60000))), Want: Vals(Of([]int{2}, tensor.F16Of(60000), tensor.F16Of(30001)))},
		{Op: "Mean", Opset: 1, Attrs: onnx.NewAttrs("consumed_inputs", []int{0}), In: Vals(F32([]int{2}, 1, 2)), Want: Vals(F32([]int{2}, 1, 2))},
		{Op: "Mean", In: Vals(F32([]int{2, 0}), F32([]int{1}, 1)), Want: Vals(F32([]int{2, 0}))},
		{Op: "Mean", In: Vals(F32([]int{2}, 1, 2), F32([]int{3}, 1, 2, 3)), Want: Vals(F32([]int{1}, 0)), Err: "2"},
		{Op: "Mean", In: Vals(I32([]int{1}, 1), I32([]int{1}, 1)), Want: Vals(I32([]int{1}, 0)), Err: "not supported"},
	})
}

func TestMeanGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Mean", In: Vals(Normal(1, 2, 3), Normal(2, 3), Normal(3, 2, 1))},
		{Op: "Mean", In: Vals(Normal(1, 2))},
	})
}
