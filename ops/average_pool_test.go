package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestAveragePool(t *testing.T) {
	x := F32([]int{1, 1, 4}, 1, 2, 3, 4)
	at := onnx.NewAttrs
	Run(t, []Case{
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{2}), In: Vals(x), Want: Vals(F32([]int{1, 1, 3}, 1.5, 2.5, 3.5))},
		{Op: "AveragePool", Opset: 1, Attrs: at("kernel_shape", []int{2}, "pads", []int{1, 1}), In: Vals(x), Want: Vals(F32([]int{1, 1, 5}, 1, 1.5, 2.5, 3.5, 4))},
		{Op: "AveragePool", Opset: 7, Attrs: at("kernel_shape", []int{2}, "pads", []int{1, 1}, "count_include_pad", 1), In: Vals(x), Want: Vals(F32([]int{1, 1, 5}, 0.5, 1.5, 2.5, 3.5, 2))},
		{Op: "AveragePool", Opset: 10, Attrs: at("kernel_shape", []int{3}, "strides", []int{2}, "ceil_mode", 1), In: Vals(x), Want: Vals(F32([]int{1, 1, 2}, 2, 3.5))},
		{Name: "beyond the padding", Op: "AveragePool", Attrs: at("kernel_shape", []int{3}, "strides", []int{2}, "ceil_mode", 1, "pads", []int{1, 0}, "count_include_pad", 1), In: Vals(x),
			Want: Vals(F32([]int{1, 1, 2}, 1, 3))},
		{Name: "last window starts on padding", Op: "AveragePool", Attrs: at("kernel_shape", []int{3, 3}, "strides", []int{3, 3}, "pads", []int{1, 1, 1, 1}, "ceil_mode", 1, "count_include_pad", 1),
			In:   Vals(F32([]int{1, 1, 2, 2}, 9, 18, 27, 36)),
			Want: Vals(F32([]int{1, 1, 1, 1}, 10))},
		{Name: "dilations", Op: "AveragePool", Attrs: at("kernel_shape", []int{2, 2}, "dilations", []int{2, 2}), In: Vals(count(1, 1, 4, 4)),
			Want: Vals(F32([]int{1, 1, 2, 2}, 5, 6, 9, 10))},
		{Name: "same upper", Op: "AveragePool", Attrs: at("kernel_shape", []int{2}, "auto_pad", "SAME_UPPER"), In: Vals(x), Want: Vals(F32([]int{1, 1, 4}, 1.5, 2.5, 3.5, 4))},
		{Name: "same lower", Op: "AveragePool", Attrs: at("kernel_shape", []int{2}, "auto_pad", "SAME_LOWER"), In: Vals(x), Want: Vals(F32([]int{1, 1, 4}, 1, 1.5, 2.5, 3.5))},
		{Name: "three dimensions", Op: "AveragePool", Attrs: at("kernel_shape", []int{2, 2, 2}), In: Vals(F64([]int{1, 1, 2, 2, 2}, 0, 1, 2, 3, 4, 5, 6, 7)), Want: Vals(F64([]int{1, 1, 1, 1, 1}, 3.5))},
		{Name: "no batch", Op: "AveragePool", Attrs: at("kernel_shape", []int{2}), In: Vals(F32([]int{0, 1, 4})), Want: Vals(F32([]int{0, 1, 3}))},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{5}), In: Vals(x), Want: Vals(x), Err: "smaller than the kernel"},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{2, 2}), In: Vals(x), Want: Vals(x), Err: "kernel_shape is [2 2]"},
		{Op: "AveragePool", Opset: 7, Attrs: at("kernel_shape", []int{2}, "ceil_mode", 1), In: Vals(x), Want: Vals(x), Err: "ceil_mode"},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{2}), In: Vals(I64([]int{1, 1, 2}, 1, 2)), Want: Vals(x), Err: "element type int64"},
	})
}

func TestAveragePoolGradient(t *testing.T) {
	at := onnx.NewAttrs
	Gradients(t, []GradCase{
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{2}), In: Vals(Normal(1, 2, 3, 7))},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{3, 3}, "strides", []int{2, 2}, "pads", []int{1, 1, 1, 1}), In: Vals(Normal(2, 2, 2, 6, 5))},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{3, 3}, "strides", []int{2, 2}, "pads", []int{1, 0, 1, 2}, "count_include_pad", 1, "ceil_mode", 1), In: Vals(Normal(3, 2, 2, 6, 5))},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{2, 2, 2}, "dilations", []int{1, 2, 1}, "auto_pad", "SAME_LOWER"), In: Vals(Normal(4, 1, 2, 3, 4, 3))},
	})
}
