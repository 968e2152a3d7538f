package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestNhwcMaxPool(t *testing.T) {
	at := onnx.NewAttrs
	// 3×3 pixels of two channels.
	x := Of[uint8]([]int{1, 3, 3, 2}, 1, 90, 2, 80, 3, 70, 4, 60, 9, 50, 6, 40, 7, 30, 8, 20, 5, 10)
	cases := []Case{
		{Attrs: at("kernel_shape", []int{2, 2}), In: Vals(x), Want: Vals(Of[uint8]([]int{1, 2, 2, 2}, 9, 90, 9, 80, 9, 60, 9, 50))},
		{Attrs: at("kernel_shape", []int{2, 2}, "strides", []int{2, 2}, "ceil_mode", 1), In: Vals(x), Want: Vals(Of[uint8]([]int{1, 2, 2, 2}, 9, 90, 6, 70, 8, 30, 5, 10))},
		{Name: "signed, padded", Attrs: at("kernel_shape", []int{2}, "pads", []int{1, 0}), In: Vals(Of[int8]([]int{1, 2, 1}, -7, -3)), Want: Vals(Of[int8]([]int{1, 2, 1}, -7, -3))},
		{Attrs: at("kernel_shape", []int{2}), In: Vals(Of[uint8]([]int{2, 2}, 1, 2, 3, 4)), Want: Vals(nil), Err: "1 to 3 spatial dimensions"},
	}
	for i := range cases {
		cases[i].Domain, cases[i].Op = "com.microsoft", "NhwcMaxPool"
	}
	Run(t, cases)
}
