package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXAveragePoolGrad(t *testing.T) {
	dy, x := F32([]int{1, 1, 2}, 2, 20), F32([]int{1, 1, 3}, 0, 0, 0)
	at := onnx.NewAttrs
	Run(t, []Case{
		{Domain: "x", Op: "AveragePoolGrad", Opset: 1, Attrs: at("kernel_shape", []int{2}), In: Vals(dy, x), Want: Vals(F32([]int{1, 1, 3}, 1, 11, 10))},
		{Domain: "x", Op: "AveragePoolGrad", Opset: 1, Attrs: at("kernel_shape", []int{2}, "sum", 1), In: Vals(dy, x), Want: Vals(F32([]int{1, 1, 3}, 2, 22, 20))},
		{Domain: "x", Op: "AveragePoolGrad", Opset: 1, Attrs: at("kernel_shape", []int{2}, "strides", []int{2}, "pads", []int{1, 0}), In: Vals(dy, x), Want: Vals(F32([]int{1, 1, 3}, 2, 10, 10))},
		{Domain: "x", Op: "AveragePoolGrad", Opset: 1, Attrs: at("kernel_shape", []int{2}, "strides", []int{2}, "pads", []int{1, 0}, "count_include_pad", 1), In: Vals(dy, x), Want: Vals(F32([]int{1, 1, 3}, 1, 10, 10))},
		{Domain: "x", Op: "AveragePoolGrad", Opset: 1, Attrs: at("kernel_shape", []int{2}), In: Vals(F64([]int{1, 1, 1}, 4), F64([]int{1, 1, 2}, 0, 0)), Want: Vals(F64([]int{1, 1, 2}, 2, 2))},
		{Domain: "x", Op: "AveragePoolGrad", Opset: 1, Attrs: at("kernel_shape", []int{2}), In: Vals(Of([]int{1, 1, 1}, tensor.F16Of(4)), F32([]int{1, 1, 2}, 0, 0)), Want: Vals(Of([]int{1, 1, 2}, tensor.F16Of(2), tensor.F16Of(2)))},
		{Domain: "x", Op: "AveragePoolGrad", Opset: 1, Attrs: at("kernel_shape", []int{2}), In: Vals(dy, dy), Want: Vals(x), Err: "dY has shape"},
	})
}
