package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func ones(shape ...int) *tensor.Tensor {
	n, _ := tensor.Count(shape)
	v := make([]float32, n)
	for i := range v {
		v[i] = 1
	}
	return tensor.Of(v, shape...)
}

// count returns 0, 1, 2… in the given shape.
func count(shape ...int) *tensor.Tensor {
	n, _ := tensor.Count(shape)
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i)
	}
	return tensor.Of(v, shape...)
}

func TestConv(t *testing.T) {
	x, w := count(1, 1, 5, 5), ones(1, 1, 3, 3)
	at := onnx.NewAttrs
	padded := F32([]int{1, 1, 5, 5}, 12, 21, 27, 33, 24, 33, 54, 63, 72, 51, 63, 99, 108, 117, 81, 93, 144, 153, 162, 111, 72, 111, 117, 123, 84)
	x7 := count(1, 1, 7, 5)
	f64 := func(x *tensor.Tensor) *tensor.Tensor {
		v := make([]float64, x.Len())
		for i, e := range tensor.Data[float32](x) {
			v[i] = float64(e)
		}
		return tensor.Of(v, x.Shape()...)
	}
	half := func(x *tensor.Tensor) *tensor.Tensor {
		h := tensor.New(tensor.Float16, x.Shape()...)
		tensor.Narrow(h, x)
		return h
	}
	Run(t, []Case{
		// The examples of the specification.
		{Name: "pads", Op: "Conv", Attrs: at("kernel_shape", []int{3, 3}, "pads", []int{1, 1, 1, 1}), In: Vals(x, w), Want: Vals(padded)},
		{Name: "version 1", Op: "Conv", Opset: 1, Attrs: at("pads", []int{1, 1, 1, 1}), In: Vals(x, w), Want: Vals(padded)},
		{Name: "float64", Op: "Conv", Attrs: at("pads", []int{1, 1, 1, 1}), In: Vals(f64(x), f64(w)), Want: Vals(f64(padded))},
		{Name: "float16", Op: "Conv", Attrs: at("pads", []int{1, 1, 1, 1}), In: Vals(half(x), half(w)), Want: Vals(half(padded))},
		{Name: "no pads", Op: "Conv", In: Vals(x, w), Want: Vals(F32([]int{1, 1, 3, 3}, 54, 63, 72, 99, 108, 117, 144, 153, 162))},
		{Name: "strides and pads", Op: "Conv", Attrs: at("strides", []int{2, 2}, "pads", []int{1, 1, 1, 1}), In: Vals(x7, w),
			Want: Vals(F32([]int{1, 1, 4, 3}, 12, 27, 24, 63, 108, 81, 123, 198, 141, 112, 177, 124))},
		{Name: "strides", Op: "Conv", Attrs: at("strides", []int{2, 2}), In: Vals(x7, w), Want: Vals(F32([]int{1, 1, 3, 2}, 54, 72, 144, 162, 234, 252))},
		{Name: "pads along one dimension", Op: "Conv", Attrs: at("strides", []int{2, 2}, "pads", []int{1, 0, 1, 0}), In: Vals(x7, w),
			Want: Vals(F32([]int{1, 1, 4, 2}, 21, 33, 99, 117, 189, 207, 171, 183))},
		{Name: "same lower", Op: "Conv", Attrs: at("auto_pad", "SAME_LOWER", "strides", []int{2, 2}), In: Vals(x, w),
			Want: Vals(F32([]int{1, 1, 3, 3}, 12, 27, 24, 63, 108, 81, 72, 117, 84))},
		{Name: "same upper, even kernel", Op: "Conv", Attrs: at("auto_pad", "SAME_UPPER"), In: Vals(count(1, 1, 4), ones(1, 1, 2)), Want: Vals(F32([]int{1, 1, 4}, 1, 3, 5, 3))},
		{Name: "same lower, even kernel", Op: "Conv", Attrs: at("auto_pad", "SAME_LOWER"), In: Vals(count(1, 1, 4), ones(1, 1, 2)), Want: Vals(F32([]int{1, 1, 4}, 0, 1, 3, 5))},
		{Name: "valid", Op: "Conv", Attrs: at("auto_pad", "VALID"), In: Vals(count(1, 1, 4), ones(1, 1, 2)), Want: Vals(F32([]int{1, 1, 3}, 1, 3, 5))},
		{Name: "dilations", Op: "Conv", Attrs: at("dilations", []int{2}), In: Vals(count(1, 1, 5), ones(1, 1, 2)), Want: Vals(F32([]int{1, 1, 3}, 2, 4, 6))},
		{Name: "groups and bias", Op: "Conv", Attrs: at("group", 2), In: Vals(count(1, 4, 2), F32([]int{2, 2, 1}, 1, 10, 1, 100), F32([]int{2}, 0.5, -1)),
			Want: Vals(F32([]int{1, 2, 2}, 20.5, 31.5, 603, 704))},
		{Name: "depthwise", Op: "Conv", Attrs: at("group", 2), In: Vals(count(1, 2, 3), F32([]int{4, 1, 2}, 1, 0, 0, 1, 1, 1, 2, 0)),
			Want: Vals(F32([]int{1, 4, 2}, 0, 1, 1, 2, 7, 9, 6, 8))},
		{Name: "three dimensions", Op: "Conv", In: Vals(count(1, 1, 2, 2, 2), ones(1, 1, 2, 2, 2), F32([]int{1}, 2)), Want: Vals(F32([]int{1, 1, 1, 1, 1}, 30))},
		{Name: "cropped", Op: "Conv", Attrs: at("pads", []int{-1, 0}), In: Vals(count(1, 1, 5), ones(1, 1, 2)), Want: Vals(F32([]int{1, 1, 3}, 3, 5, 7))},
		{Name: "no batch", Op: "Conv", In: Vals(count(0, 1, 5), ones(1, 1, 2)), Want: Vals(F32([]int{0, 1, 4}))},
		{Op: "Conv", In: Vals(x, ones(1, 2, 3, 3)), Want: Vals(x), Err: "want channels in 1 groups"},
		{Op: "Conv", In: Vals(x, ones(1, 1, 6, 6)), Want: Vals(x), Err: "smaller than the kernel"},
		{Op: "Conv", Attrs: at("kernel_shape", []int{2, 2}), In: Vals(x, w), Want: Vals(x), Err: "kernel_shape is [2 2]"},
		{Op: "Conv", Attrs: at("strides", []int{0, 1}), In: Vals(x, w), Want: Vals(x), Err: "strides is [0 1]"},
		{Op: "Conv", Attrs: at("pads", []int{1, 1}), In: Vals(x, w), Want: Vals(x), Err: "2 pads"},
		{Op: "Conv", Attrs: at("group", 0), In: Vals(x, w), Want: Vals(x), Err: "group is 0"},
		{Op: "Conv", In: Vals(x, w, ones(2)), Want: Vals(x), Err: "B has shape [2], want [1]"},
		{Op: "Conv", In: Vals(ones(2, 2), ones(2, 2)), Want: Vals(x), Err: "want [n c d…]"},
	})
}

func TestConvGradient(t *testing.T) {
	at := onnx.NewAttrs
	Gradients(t, []GradCase{
		{Name: "1-D", Op: "Conv", Attrs: at("pads", []int{1, 0}, "strides", []int{2}), In: Vals(Normal(1, 2, 3, 8), Normal(2, 4, 3, 3), Normal(3, 4))},
		{Name: "2-D", Op: "Conv", Attrs: at("pads", []int{1, 1, 1, 1}), In: Vals(Normal(1, 2, 4, 5, 6), Normal(2, 5, 4, 3, 3), Normal(3, 5))},
		{Name: "3-D", Op: "Conv", Attrs: at("pads", []int{0, 1, 0, 1, 0, 1}), In: Vals(Normal(1, 1, 2, 3, 4, 3), Normal(2, 4, 2, 2, 3, 2))},
		{Name: "4-D", Op: "Conv", In: Vals(Normal(1, 1, 2, 3, 2, 3, 2), Normal(2, 4, 2, 2, 1, 2, 2))},
		{Name: "strides and dilations", Op: "Conv", Attrs: at("strides", []int{2, 3}, "dilations", []int{2, 1}, "pads", []int{2, 0, 1, 1}),
			In: Vals(Normal(1, 2, 5, 9, 8), Normal(2, 6, 5, 3, 2))},
		{Name: "groups", Op: "Conv", Attrs: at("group", 2, "pads", []int{1, 1, 1, 1}), In: Vals(Normal(1, 2, 8, 4, 4), Normal(2, 8, 4, 3, 3), Normal(3, 8))},
		{Name: "depthwise", Op: "Conv", Attrs: at("group", 4, "strides", []int{2, 2}, "pads", []int{1, 1, 1, 1}), In: Vals(Normal(1, 2, 4, 5, 5), Normal(2, 8, 1, 3, 3))},
		{Name: "same upper", Op: "Conv", Attrs: at("auto_pad", "SAME_UPPER", "strides", []int{2, 2}), In: Vals(Normal(1, 1, 4, 6, 7), Normal(2, 4, 4, 3, 2))},
		{Name: "same lower", Op: "Conv", Attrs: at("auto_pad", "SAME_LOWER"), In: Vals(Normal(1, 1, 2, 4, 4), Normal(2, 2, 2, 2, 2))},
		{Name: "cropped", Op: "Conv", Attrs: at("pads", []int{-1, 0, 0, -1}), In: Vals(Normal(1, 2, 4, 5, 5), Normal(2, 4, 4, 2, 2))},
		{Name: "rest at the end", Op: "Conv", Attrs: at("strides", []int{3, 3}), In: Vals(Normal(1, 1, 4, 6, 7), Normal(2, 4, 4, 2, 2))},
	})
}
