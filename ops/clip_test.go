package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestClip(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	x := F32([]int{5}, -inf, -2, 0.5, nan, inf)
	h := func(v float32) tensor.F16 { return tensor.F16Of(v) }
	Run(t, []Case{
		{Op: "Clip", In: Vals(x, F32([]int{}, -1), F32([]int{}, 1)), Want: Vals(F32([]int{5}, -1, -1, 0.5, nan, 1))},
		{Op: "Clip", In: Vals(x, nil, F32([]int{}, 0)), Want: Vals(F32([]int{5}, -inf, -2, 0, nan, 0))},
		{Op: "Clip", In: Vals(x, F32([]int{}, 0)), Want: Vals(F32([]int{5}, 0, 0, 0.5, nan, inf))},
		{Op: "Clip", In: Vals(x), Want: Vals(x)},
		{Op: "Clip", In: Vals(x, F32([]int{}, 2), F32([]int{}, 1)), Want: Vals(F32([]int{5}, 1, 1, 1, nan, 1))},
		{Op: "Clip", Opset: 6, Attrs: onnx.NewAttrs("min", -1.0), In: Vals(x), Want: Vals(F32([]int{5}, -1, -1, 0.5, nan, math.MaxFloat32))},
		{Op: "Clip", Opset: 1, Attrs: onnx.NewAttrs("max", 0.25, "consumed_inputs", []int{0}), In: Vals(x), Want: Vals(F32([]int{5}, -inf, -2, 0.25, nan, 0.25))},
		{Op: "Clip", Opset: 12, In: Vals(I64([]int{1, 3}, -9, 2, 9), I64([]int{}, -1), I64([]int{}, 3)), Want: Vals(I64([]int{1, 3}, -1, 2, 3))},
		{Op: "Clip", In: Vals(Of([]int{3}, uint8(0), 100, 255), nil, Of([]int{}, uint8(200))), Want: Vals(Of([]int{3}, uint8(0), 100, 200))},
		{Op: "Clip", In: Vals(Of([]int{5}, int8(-128), -5, -1, 4, 127), Of([]int{}, int8(-5)), Of([]int{}, int8(3))), Want: Vals(Of([]int{5}, int8(-5), -5, -1, 3, 3))},
		{Op: "Clip", In: Vals(Of([]int{3}, int8(-128), 0, 127), Of([]int{}, int8(2)), Of([]int{}, int8(-2))), Want: Vals(Of([]int{3}, int8(-2), -2, -2))},
		{Op: "Clip", In: Vals(Of([]int{2, 2}, uint8(0), 15, 16, 255), Of([]int{1}, uint8(1)), Of([]int{1}, uint8(15))), Want: Vals(Of([]int{2, 2}, uint8(1), 15, 15, 15))},
		{Op: "Clip", In: Vals(Of[uint8]([]int{0}), Of([]int{}, uint8(1))), Want: Vals(Of[uint8]([]int{0}))},
		{Op: "Clip", In: Vals(Of([]int{2}, h(-3), h(3)), Of([]int{}, h(-1))), Want: Vals(Of([]int{2}, h(-1), h(3)))},
		{Op: "Clip", In: Vals(F32([]int{0})), Want: Vals(F32([]int{0}))},
		{Op: "Clip", In: Vals(x, F32([]int{2}, 1, 2)), Want: Vals(x), Err: "min has shape [2], want a scalar"},
		{Op: "Clip", In: Vals(x, nil, F64([]int{}, 1)), Want: Vals(x), Err: "max is float64, want float32"},
	})
}

func TestClipGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Clip", In: Vals(Normal(1, 4, 5), F64([]int{}, -0.5), F64([]int{}, 0.8))},
		{Op: "Clip", In: Vals(Normal(1, 4, 5), F64([]int{}, -0.5))},
		{Op: "Clip", In: Vals(Normal(1, 4, 5), nil, F64([]int{1}, 0.5))},
		{Op: "Clip", In: Vals(Normal(1, 4, 5))},
		{Op: "Clip", In: Vals(Normal(1, 4, 5), F64([]int{}, 4), F64([]int{}, -4))},
	})
}
