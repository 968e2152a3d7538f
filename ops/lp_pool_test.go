package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestLpPool(t *testing.T) {
	x := F32([]int{1, 1, 4}, 3, -4, 0, 2)
	at := onnx.NewAttrs
	Run(t, []Case{
		{Op: "LpPool", Attrs: at("kernel_shape", []int{2}), In: Vals(x), Want: Vals(F32([]int{1, 1, 3}, 5, 4, 2))},
		{Op: "LpPool", Opset: 2, Attrs: at("kernel_shape", []int{2}, "p", 1), In: Vals(x), Want: Vals(F32([]int{1, 1, 3}, 7, 4, 2))},
		{Op: "LpPool", Opset: 1, Attrs: at("kernel_shape", []int{2}, "p", 1.0, "pads", []int{1, 0}), In: Vals(x), Want: Vals(F32([]int{1, 1, 4}, 3, 7, 4, 2))},
		{Op: "LpPool", Attrs: at("kernel_shape", []int{2}, "p", 3), In: Vals(F64([]int{1, 1, 2}, 1, -2)), Want: Vals(F64([]int{1, 1, 1}, math.Cbrt(9)))},
		{Op: "LpPool", Attrs: at("kernel_shape", []int{2}, "dilations", []int{3}), In: Vals(x), Want: Vals(F32([]int{1, 1, 1}, float32(math.Sqrt(13))))},
		{Op: "LpPool", Attrs: at("kernel_shape", []int{3}, "strides", []int{2}, "ceil_mode", 1), In: Vals(x), Want: Vals(F32([]int{1, 1, 2}, 5, 2))},
		{Op: "LpPool", Attrs: at("kernel_shape", []int{2}, "p", 0), In: Vals(x), Want: Vals(x), Err: "p is 0"},
	})
}

func TestLpPoolGradient(t *testing.T) {
	at := onnx.NewAttrs
	Gradients(t, []GradCase{
		{Op: "LpPool", Attrs: at("kernel_shape", []int{3}, "strides", []int{2}), In: Vals(Normal(1, 2, 3, 7))},
		{Op: "LpPool", Attrs: at("kernel_shape", []int{2, 2}, "pads", []int{1, 0, 0, 1}, "p", 1), In: Vals(Normal(2, 1, 2, 4, 5))},
		{Op: "LpPool", Attrs: at("kernel_shape", []int{3, 2}, "dilations", []int{1, 2}, "p", 3), In: Vals(Normal(3, 1, 2, 4, 5))},
	})
}
