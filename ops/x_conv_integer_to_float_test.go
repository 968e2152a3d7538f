package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestConvIntegerToFloat(t *testing.T) {
	u8, s8, at := Of[uint8], Of[int8], onnx.NewAttrs
	half, zero := F32([]int{}, 0.5), u8([]int{}, 10)
	ramp := u8([]int{1, 3, 2}, 11, 12, 13, 14, 15, 16) // less 10: 1 2, 3 4, 5 6
	Run(t, []Case{
		// Both kernels see (1, 2) and (3, 4): 1·1+2·3 = 7 …
		{Domain: "x", Op: "ConvIntegerToFloat", In: Vals(ramp, half, zero, s8([]int{2, 2, 1}, 1, 3, -1, 0), half),
			Want: Vals(F32([]int{1, 3, 2}, 1.75, -0.25, 3.75, -0.75, 5.75, -1.25))},
		{Name: "zero points, scales and bias", Domain: "x", Op: "ConvIntegerToFloat",
			In:   Vals(ramp, half, zero, u8([]int{2, 2, 1}, 2, 4, 9, 10), F32([]int{2}, 0.5, 2), u8([]int{2}, 1, 10), F32([]int{2}, 0.25, -1)),
			Want: Vals(F32([]int{1, 3, 2}, 2, -2, 4, -4, 6, -6))},
		{Name: "depthwise, padded", Domain: "x", Op: "ConvIntegerToFloat", Attrs: at("group", 2, "pads", []int{1, 0}),
			In: Vals(ramp, half, zero, s8([]int{2, 1, 2}, 1, 2, 3, 0), half), Want: Vals(F32([]int{1, 3, 2}, 0.5, 0, 1.75, 1.5, 3.25, 3))},
		{Name: "signed, activation", Domain: "x", Op: "ConvIntegerToFloat", Attrs: at("activation", "Clip", "activation_params", []float32{0, 2}),
			In: Vals(s8([]int{1, 3, 1}, -8, 2, 4), half, s8([]int{}, -2), s8([]int{1, 1, 1}, 2), half), Want: Vals(F32([]int{1, 3, 1}, 0, 2, 2))},
		{Name: "two dimensions", Domain: "x", Op: "ConvIntegerToFloat", Attrs: at("strides", []int{2, 2}, "activation", "Relu"),
			In:   Vals(u8([]int{1, 3, 3, 1}, 1, 2, 3, 4, 5, 6, 7, 8, 9), half, nil, s8([]int{1, 1, 1, 1}, 2), half),
			Want: Vals(F32([]int{1, 2, 2, 1}, 0.5, 1.5, 3.5, 4.5)), Tol: tensor.Tolerance{}},
		{Domain: "x", Op: "ConvIntegerToFloat", In: Vals(ramp, half, zero, s8([]int{2, 2, 1}, 1, 3, -1, 0), F32([]int{3}, 1, 2, 3)), Want: Vals(nil), Err: "w_scale has 3 elements"},
		{Domain: "x", Op: "ConvIntegerToFloat", In: Vals(ramp, half, zero, s8([]int{2, 2, 1}, 1, 3, -1, 0), half, nil, F32([]int{1}, 1)), Want: Vals(nil), Err: "B is float32 [1], want float32 [2]"},
		{Domain: "x", Op: "ConvIntegerToFloat", In: Vals(ramp, half, zero, s8([]int{2, 1, 1}, 1, 3), half), Want: Vals(nil), Err: "groups of channels"},
		{Domain: "x", Op: "ConvIntegerToFloat", In: Vals(u8([]int{2, 2}, 1, 2, 3, 4), half, zero, s8([]int{2, 1, 1}, 1, 3), half), Want: Vals(nil), Err: "spatial dimensions"},
	})
}
