package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestLastConvTranspose(t *testing.T) {
	at := onnx.NewAttrs
	x, w := count(1, 1, 3), ones(1, 2, 3)
	x2, w2 := count(1, 1, 3, 3), ones(1, 1, 2, 2)
	big, bigW := ramp(2, 5, 40), ramp(5, 70, 4)
	three := ones(1, 1, 3)
	Run(t, lastCases([]Case{
		{Op: "ConvTranspose", In: Vals(x, w), Want: Vals(F32([]int{1, 2, 5}, 0, 1, 3, 3, 2, 0, 1, 3, 3, 2))},
		{Name: "bias", Op: "ConvTranspose", In: Vals(x, w, F32([]int{2}, 1, -1)), Want: Vals(F32([]int{1, 2, 5}, 1, 2, 4, 4, 3, -1, 0, 2, 2, 1))},
		{Name: "relu", Op: "ConvTranspose", Attrs: at("activation", "Relu"), In: Vals(x, w, F32([]int{2}, -1, -2)), Want: Vals(F32([]int{1, 2, 5}, 0, 0, 2, 2, 1, 0, 0, 1, 1, 0))},
		{Name: "tanh", Op: "ConvTranspose", Attrs: at("activation", "Tanh"), In: Vals(F32([]int{1, 1, 1}, 1), F32([]int{1, 1, 1}, 0.5)), Want: Vals(F32([]int{1, 1, 1}, 0.46211717))},
		{Name: "two dimensions", Op: "ConvTranspose", In: Vals(x2, w2), Want: Vals(F32([]int{1, 1, 4, 4}, 0, 1, 3, 2, 3, 8, 12, 7, 9, 20, 24, 13, 6, 13, 15, 8))},
		{Name: "strides", Op: "ConvTranspose", Attrs: at("strides", []int{2}), In: Vals(x, ones(1, 1, 2)), Want: Vals(F32([]int{1, 1, 6}, 0, 0, 1, 1, 2, 2))},
		{Name: "output padding", Op: "ConvTranspose", Attrs: at("strides", []int{2}, "output_padding", []int{1}), In: Vals(x, ones(1, 1, 1)), Want: Vals(F32([]int{1, 1, 6}, 0, 0, 1, 0, 2, 0))},
		{Name: "gaps", Op: "ConvTranspose", Attrs: at("strides", []int{3}), In: Vals(x, ones(1, 1, 1), F32([]int{1}, 5)), Want: Vals(F32([]int{1, 1, 7}, 5, 5, 5, 6, 5, 5, 7))},
		{Name: "pads", Op: "ConvTranspose", Attrs: at("pads", []int{1, 2}), In: Vals(x, three), Want: Vals(F32([]int{1, 1, 2}, 1, 3))},
		{Name: "dilations", Op: "ConvTranspose", Attrs: at("dilations", []int{2}), In: Vals(x, ones(1, 1, 2)), Want: Vals(F32([]int{1, 1, 5}, 0, 1, 2, 1, 2))},
		{Name: "output shape", Op: "ConvTranspose", Attrs: at("output_shape", []int{4}, "strides", []int{2}), In: Vals(x, three), Want: Vals(transposed1(x, three, 4, 2, 1, 2))},
		{Name: "larger output shape", Op: "ConvTranspose", Attrs: at("output_shape", []int{8}), In: Vals(x, three), Want: Vals(transposed1(x, three, 8, 1, 1, 0))},
		{Name: "same upper", Op: "ConvTranspose", Attrs: at("strides", []int{2}, "auto_pad", "SAME_UPPER"), In: Vals(x, three), Want: Vals(transposed1(x, three, 6, 2, 1, 0))},
		{Name: "same lower", Op: "ConvTranspose", Attrs: at("strides", []int{2}, "auto_pad", "SAME_LOWER"), In: Vals(x, three), Want: Vals(transposed1(x, three, 6, 2, 1, 1))},
		{Name: "groups", Op: "ConvTranspose", Attrs: at("group", 2), In: Vals(count(1, 2, 2), F32([]int{2, 2, 1}, 1, 10, 100, 1000)), Want: Vals(F32([]int{1, 4, 2}, 0, 1, 0, 10, 200, 300, 2000, 3000))},
		{Name: "three dimensions", Op: "ConvTranspose", In: Vals(F64([]int{1, 1, 1, 1, 2}, 1, 2), F64([]int{1, 1, 1, 1, 2}, 1, 10)), Want: Vals(F64([]int{1, 1, 1, 1, 3}, 1, 12, 20))},
		{Name: "float16", Op: "ConvTranspose", In: Vals(halved(x), halved(three)), Want: Vals(halved(F32([]int{1, 1, 5}, 0, 1, 3, 3, 2)))},
		{Name: "many channels", Op: "ConvTranspose", Attrs: at("strides", []int{3}, "pads", []int{1, 2}), In: Vals(big, bigW), Want: Vals(transposed1(big, bigW, 118, 3, 1, 1))},
		{Name: "nothing in", Op: "ConvTranspose", Attrs: at("output_shape", []int{2}), In: Vals(F32([]int{1, 1, 0}), ones(1, 1, 1), F32([]int{1}, 3)), Want: Vals(F32([]int{1, 1, 2}, 3, 3))},
		{Op: "ConvTranspose", In: Vals(x, ones(2, 1, 1)), Want: Vals(x), Err: "want"},
		{Op: "ConvTranspose", Attrs: at("pads", []int{9, 9}), In: Vals(x, w), Want: Vals(x), Err: "less than the pads"},
		{Op: "ConvTranspose", Attrs: at("output_shape", []int{9, 9}), In: Vals(x, w), Want: Vals(x), Err: "output_shape is [9 9]"},
		{Op: "ConvTranspose", In: Vals(x, w, ones(3)), Want: Vals(x), Err: "B is float32 [3]"},
	}, 0))
}
