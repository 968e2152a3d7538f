package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMaxPool(t *testing.T) {
	x := F32([]int{1, 1, 4}, 1, 4, 3, 2)
	at := onnx.NewAttrs
	nan := float32(math.NaN())
	square := F32([]int{1, 1, 3, 3}, 1, 2, 3, 4, 9, 6, 7, 8, 5)
	Run(t, []Case{
		{Op: "MaxPool", Attrs: at("kernel_shape", []int{2}), In: Vals(x), Want: Vals(F32([]int{1, 1, 3}, 4, 4, 3))},
		{Op: "MaxPool", Opset: 1, Attrs: at("kernel_shape", []int{2}, "pads", []int{1, 1}), In: Vals(x), Want: Vals(F32([]int{1, 1, 5}, 1, 4, 4, 3, 2))},
		{Op: "MaxPool", Opset: 8, Attrs: at("kernel_shape", []int{2}), In: Vals(x), Want: Vals(F32([]int{1, 1, 3}, 4, 4, 3), I64([]int{1, 1, 3}, 1, 1, 2))},
		{Name: "second plane", Op: "MaxPool", Attrs: at("kernel_shape", []int{2}), In: Vals(F32([]int{1, 2, 2}, 1, 4, 3, 2)), Want: Vals(F32([]int{1, 2, 1}, 4, 3), I64([]int{1, 2, 1}, 1, 2))},
		{Name: "row-major", Op: "MaxPool", Attrs: at("kernel_shape", []int{2, 2}, "strides", []int{2, 2}, "ceil_mode", 1), In: Vals(square),
			Want: Vals(F32([]int{1, 1, 2, 2}, 9, 6, 8, 5), I64([]int{1, 1, 2, 2}, 4, 5, 7, 8))},
		{Name: "column-major", Op: "MaxPool", Attrs: at("kernel_shape", []int{2, 2}, "strides", []int{2, 2}, "ceil_mode", 1, "storage_order", 1), In: Vals(square),
			Want: Vals(F32([]int{1, 1, 2, 2}, 9, 6, 8, 5), I64([]int{1, 1, 2, 2}, 4, 7, 5, 8))},
		{Name: "dilations", Op: "MaxPool", Attrs: at("kernel_shape", []int{2, 2}, "dilations", []int{2, 2}), In: Vals(square), Want: Vals(F32([]int{1, 1, 1, 1}, 7), I64([]int{1, 1, 1, 1}, 6))},
		{Name: "output size reduced by one", Op: "MaxPool", Attrs: at("kernel_shape", []int{1, 1}, "strides", []int{2, 2}, "ceil_mode", 1), In: Vals(F32([]int{1, 1, 2, 2}, 1, 2, 3, 4)),
			Want: Vals(F32([]int{1, 1, 1, 1}, 1))},
		{Name: "same", Op: "MaxPool", Attrs: at("kernel_shape", []int{3}, "strides", []int{2}, "auto_pad", "SAME_LOWER"), In: Vals(x), Want: Vals(F32([]int{1, 1, 2}, 4, 4))},
		{Name: "int8", Op: "MaxPool", Attrs: at("kernel_shape", []int{2}, "pads", []int{1, 0}), In: Vals(Of([]int{1, 1, 2}, int8(-7), int8(-3))), Want: Vals(Of([]int{1, 1, 2}, int8(-7), int8(-3)))},
		{Name: "uint8", Op: "MaxPool", Attrs: at("kernel_shape", []int{2}), In: Vals(Of([]int{1, 1, 2}, uint8(200), uint8(3))), Want: Vals(Of([]int{1, 1, 1}, uint8(200)))},
		{Name: "float64", Op: "MaxPool", Attrs: at("kernel_shape", []int{1, 1, 2}), In: Vals(F64([]int{1, 1, 1, 1, 3}, -1, -2, -3)), Want: Vals(F64([]int{1, 1, 1, 1, 2}, -1, -2))},
		{Name: "NaN", Op: "MaxPool", Attrs: at("kernel_shape", []int{2}), In: Vals(F32([]int{1, 1, 4}, 1, nan, 3, 2)), Want: Vals(F32([]int{1, 1, 3}, nan, nan, 3))},
		{Op: "MaxPool", Attrs: at("kernel_shape", []int{0}), In: Vals(x), Want: Vals(x), Err: "kernel_shape is [0]"},
		{Op: "MaxPool", In: Vals(x), Want: Vals(x), Err: "kernel_shape is []"},
		{Op: "MaxPool", Opset: 1, Attrs: at("kernel_shape", []int{2}), In: Vals(x), Want: Vals(x, x), Err: "2 outputs, want 1"},
	})
}

func TestMaxPoolGradient(t *testing.T) {
	at := onnx.NewAttrs
	Gradients(t, []GradCase{
		{Op: "MaxPool", Attrs: at("kernel_shape", []int{2}), In: Vals(Distinct(1, -3, 0.1, 2, 3, 7))},
		{Op: "MaxPool", Attrs: at("kernel_shape", []int{3, 3}, "strides", []int{2, 2}, "pads", []int{1, 1, 1, 1}), In: Vals(Distinct(2, -6, 0.1, 2, 2, 6, 5))},
		{Op: "MaxPool", Attrs: at("kernel_shape", []int{2, 3}, "storage_order", 1, "ceil_mode", 1, "strides", []int{2, 2}), In: Vals(Distinct(3, -6, 0.1, 2, 2, 5, 6)), Outs: 2, Silent: []int{1}},
		{Op: "MaxPool", Attrs: at("kernel_shape", []int{2, 2, 2}, "dilations", []int{1, 2, 1}, "auto_pad", "SAME_UPPER"), In: Vals(Distinct(4, -6, 0.1, 1, 2, 3, 4, 3))},
	})
}
