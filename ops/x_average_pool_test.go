package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestLastAveragePool(t *testing.T) {
	x := F32([]int{1, 1, 4}, 1, 2, 3, 4)
	at := onnx.NewAttrs
	Run(t, lastCases([]Case{
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{2}), In: Vals(x), Want: Vals(F32([]int{1, 1, 3}, 1.5, 2.5, 3.5))},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{2}, "pads", []int{1, 1}), In: Vals(x), Want: Vals(F32([]int{1, 1, 5}, 1, 1.5, 2.5, 3.5, 4))},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{2}, "pads", []int{1, 1}, "count_include_pad", 1), In: Vals(x), Want: Vals(F32([]int{1, 1, 5}, 0.5, 1.5, 2.5, 3.5, 2))},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{3}, "strides", []int{2}, "ceil_mode", 1), In: Vals(x), Want: Vals(F32([]int{1, 1, 2}, 2, 3.5))},
		{Name: "beyond the padding", Op: "AveragePool", Attrs: at("kernel_shape", []int{3}, "strides", []int{2}, "ceil_mode", 1, "pads", []int{1, 0}, "count_include_pad", 1), In: Vals(x),
			Want: Vals(F32([]int{1, 1, 2}, 1, 3))},
		{Name: "last window starts on padding", Op: "AveragePool", Attrs: at("kernel_shape", []int{3, 3}, "strides", []int{3, 3}, "pads", []int{1, 1, 1, 1}, "ceil_mode", 1, "count_include_pad", 1),
			In:   Vals(F32([]int{1, 1, 2, 2}, 9, 18, 27, 36)),
			Want: Vals(F32([]int{1, 1, 1, 1}, 10))},
		{Name: "channels", Op: "AveragePool", Attrs: at("kernel_shape", []int{2}), In: Vals(F32([]int{1, 2, 3}, 1, 3, 5, 10, 30, 50)), Want: Vals(F32([]int{1, 2, 2}, 2, 4, 20, 40))},
		{Name: "dilations", Op: "AveragePool", Attrs: at("kernel_shape", []int{2, 2}, "dilations", []int{2, 2}), In: Vals(count(1, 1, 4, 4)),
			Want: Vals(F32([]int{1, 1, 2, 2}, 5, 6, 9, 10))},
		{Name: "same lower", Op: "AveragePool", Attrs: at("kernel_shape", []int{2}, "auto_pad", "SAME_LOWER"), In: Vals(x), Want: Vals(F32([]int{1, 1, 4}, 1, 1.5, 2.5, 3.5))},
		{Name: "three dimensions", Op: "AveragePool", Attrs: at("kernel_shape", []int{2, 2, 2}), In: Vals(F64([]int{1, 1, 2, 2, 2}, 0, 1, 2, 3, 4, 5, 6, 7)), Want: Vals(F64([]int{1, 1, 1, 1, 1}, 3.5))},
		{Name: "float16", Op: "AveragePool", Attrs: at("kernel_shape", []int{2}), In: Vals(halved(x)), Want: Vals(halved(F32([]int{1, 1, 3}, 1.5, 2.5, 3.5)))},
		{Name: "no batch", Op: "AveragePool", Attrs: at("kernel_shape", []int{2}), In: Vals(F32([]int{0, 1, 4})), Want: Vals(F32([]int{0, 1, 3}))},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{5}), In: Vals(x), Want: Vals(x), Err: "smaller than the kernel"},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{2, 2}), In: Vals(x), Want: Vals(x), Err: "kernel_shape is [2 2]"},
		{Op: "AveragePool", Attrs: at("kernel_shape", []int{2}), In: Vals(I64([]int{1, 1, 2}, 1, 2)), Want: Vals(x), Err: "element type int64"},
	}, 0))
}
