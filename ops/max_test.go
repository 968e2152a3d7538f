package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMax(t *testing.T) {
	nan := float32(math.NaN())
	a, b := []float32{1, 5, 3, -2, 0, 9}, []float32{2, 2, 4}
	Run(t, []Case{
		{Op: "Max", In: Vals(F32([]int{2, 3}, a...), F32([]int{3}, b...)), Want: Vals(F32([]int{2, 3}, 2, 5, 4, 2, 2, 9))},
		{Op: "Max", In: Vals(F32([]int{2, 3}, a...), F32([]int{3}, b...), F32([]int{}, 3)), Want: Vals(F32([]int{2, 3}, 3, 5, 4, 3, 3, 9))},
		{Op: "Max", In: Vals(F32([]int{}, 3), F32([]int{1}, -99), F32([]int{2, 3}, a...)), Want: Vals(F32([]int{2, 3}, 3, 5, 3, 3, 3, 9))},
		{Op: "Max", In: Vals(F32([]int{4}, nan, 1, nan, 2), F32([]int{4}, 1, nan, nan, 1)), Want: Vals(F32([]int{4}, nan, nan, nan, 2))},
		{Op: "Max", In: Vals(F64([]int{2}, 1, 2), F64([]int{1}, 1.5)), Want: Vals(F64([]int{2}, 1.5, 2))},
		{Op: "Max", In: Vals(I64([]int{2}, -1, 1<<62), I64([]int{}, 7)), Want: Vals(I64([]int{2}, 7, 4611686018427387904))},
		{Op: "Max", In: Vals(Of([]int{2}, uint8(200), 3), Of([]int{2}, uint8(100), 4)), Want: Vals(Of([]int{2}, uint8(200), 4))},
		{Op: "Max", In: Vals(Of([]int{2}, tensor.F16Of(1), tensor.F16Of(2)), Of([]int{}, tensor.F16Of(1.5))), Want: Vals(Of([]int{2}, tensor.F16Of(1.5), tensor.F16Of(2)))},
		{Op: "Max", In: Vals(Of([]int{}, tensor.F16Of(1)), Of([]int{}, tensor.F16Of(2)), Of([]int{}, tensor.F16Of(1.5))), Want: Vals(Of([]int{}, tensor.F16Of(2)))},
		{Op: "Max", Opset: 1, Attrs: onnx.NewAttrs("consumed_inputs", []int{0}), In: Vals(F32([]int{2}, 1, 2)), Want: Vals(F32([]int{2}, 1, 2))},
		{Op: "Max", In: Vals(F32([]int{2, 0}), F32([]int{1}, 1)), Want: Vals(F32([]int{2, 0}))},
		{Op: "Max", In: Vals(F32([]int{2}, 1, 2), F32([]int{3}, 1, 2, 3)), Want: Vals(F32([]int{1}, 0)), Err: "2"},
		{Op: "Max", In: Vals(F32([]int{2}, 1, 2), I32([]int{1}, 1)), Want: Vals(F32([]int{1}, 0)), Err: "input 1 is int32, want float32"},
	})
}

func TestMaxGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Max", In: Vals(Distinct(1, -3, 0.3, 3, 4), Distinct(2, -3.1, 0.3, 3, 4))},
		{Op: "Max", In: Vals(Distinct(1, -3, 0.3, 2, 3), Distinct(2, -2.9, 0.3, 3), Distinct(3, -2.83, 0.71, 2, 1))},
		{Op: "Max", In: Vals(Normal(1, 3))},
		{Op: "Max", In: Vals(F64([]int{2}, 1, 2), F64([]int{2}, 1, 3))}, // a tie: the mean of the slopes of both sides
	})
}
