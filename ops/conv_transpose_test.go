package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// transposed1 is the definition for one dimension and one group.
func transposed1(x, w *tensor.Tensor, out, stride, dilation, before int) *tensor.Tensor {
	n, c, d := x.Dim(0), x.Dim(1), x.Dim(2)
	m, k := w.Dim(1), w.Dim(2)
	xs, ws := tensor.Data[float32](x), tensor.Data[float32](w)
	y := make([]float32, n*m*out)
	for b := range n {
		for i := range c {
			for q := range d {
				for o := range m {
					for t := range k {
						if at := q*stride + t*dilation - before; at >= 0 && at < out {
							y[(b*m+o)*out+at] += xs[(b*c+i)*d+q] * ws[(i*m+o)*k+t]
						}
					}
				}
			}
		}
	}
	return tensor.Of(y, n, m, out)
}

func TestConvTranspose(t *testing.T) {
	at := onnx.NewAttrs
	x, w := count(1, 1, 3), ones(1, 2, 3)
	x2, w2 := count(1, 1, 3, 3), ones(1, 1, 2, 2)
	big, bigW := ramp(2, 5, 40), ramp(5, 70, 4)
	Run(t, []Case{
		{Op: "ConvTranspose", In: Vals(x, w), Want: Vals(F32([]int{1, 2, 5}, 0, 1, 3, 3, 2, 0, 1, 3, 3, 2))},
		{Name: "version 1, bias", Op: "ConvTranspose", Opset: 1, In: Vals(x, w, F32([]int{2}, 1, -1)), Want: Vals(F32([]int{1, 2, 5}, 1, 2, 4, 4, 3, -1, 0, 2, 2, 1))},
		{Name: "two dimensions", Op: "ConvTranspose", In: Vals(x2, w2), Want: Vals(F32([]int{1, 1, 4, 4}, 0, 1, 3, 2, 3, 8, 12, 7, 9, 20, 24, 13, 6, 13, 15, 8))},
		{Name: "strides", Op: "ConvTranspose", Attrs: at("strides", []int{2}), In: Vals(x, ones(1, 1, 2)), Want: Vals(F32([]int{1, 1, 6}, 0, 0, 1, 1, 2, 2))},
		{Name: "output padding", Op: "ConvTranspose", Attrs: at("strides", []int{2}, "output_padding", []int{1}), In: Vals(x, ones(1, 1, 1)), Want: Vals(F32([]int{1, 1, 6}, 0, 0, 1, 0, 2, 0))},
		{Name: "pads", Op: "ConvTranspose", Attrs: at("pads", []int{1, 2}), In: Vals(x, ones(1, 1, 3)), Want: Vals(F32([]int{1, 1, 2}, 1, 3))},
		{Name: "dilations", Op: "ConvTranspose", Attrs: at("dilations", []int{2}), In: Vals(x, ones(1, 1, 2)), Want: Vals(F32([]int{1, 1, 5}, 0, 1, 2, 1, 2))},
		{Name: "output shape", Op: "ConvTranspose", Attrs: at("output_shape", []int{4}, "strides", []int{2}), In: Vals(x, ones(1, 1, 3)), Want: Vals(transposed1(x, ones(1, 1, 3), 4, 2, 1, 2))},
		{Name: "output shape, same upper", Op: "ConvTranspose", Attrs: at("output_shape", []int{4}, "strides", []int{2}, "auto_pad", "SAME_UPPER"), In: Vals(x, ones(1, 1, 3)), Want: Vals(transposed1(x, ones(1, 1, 3), 4, 2, 1, 1))},
		{Name: "larger output shape", Op: "ConvTranspose", Attrs: at("output_shape", []int{8}), In: Vals(x, ones(1, 1, 3)), Want: Vals(transposed1(x, ones(1, 1, 3), 8, 1, 1, 0))},
		{Name: "same upper", Op: "ConvTranspose", Attrs: at("strides", []int{2}, "auto_pad", "SAME_UPPER"), In: Vals(x, ones(1, 1, 3)), Want: Vals(transposed1(x, ones(1, 1, 3), 6, 2, 1, 0))},
		{Name: "same lower", Op: "ConvTranspose", Attrs: at("strides", []int{2}, "auto_pad", "SAME_LOWER"), In: Vals(x, ones(1, 1, 3)), Want: Vals(transposed1(x, ones(1, 1, 3), 6, 2, 1, 1))},
		{Name: "groups", Op: "ConvTranspose", Attrs: at("group", 2), In: Vals(count(1, 2, 2), F32([]int{2, 2, 1}, 1, 10, 100, 1000)), Want: Vals(F32([]int{1, 4, 2}, 0, 1, 0, 10, 200, 300, 2000, 3000))},
		{Name: "three dimensions", Op: "ConvTranspose", In: Vals(F64([]int{1, 1, 1, 1, 2}, 1, 2), F64([]int{1, 1, 1, 1, 2}, 1, 10)), Want: Vals(F64([]int{1, 1, 1, 1, 3}, 1, 12, 20))},
		{Name: "many channels", Op: "ConvTranspose", Attrs: at("strides", []int{3}, "pads", []int{1, 2}), In: Vals(big, bigW), Want: Vals(transposed1(big, bigW, 118, 3, 1, 1))},
		{Name: "nothing in", Op: "ConvTranspose", Attrs: at("output_shape", []int{2}), In: Vals(F32([]int{1, 1, 0}), ones(1, 1, 1), F32([]int{1}, 3)), Want: Vals(F32([]int{1, 1, 2}, 3, 3))},
		{Op: "ConvTranspose", In: Vals(x, ones(2, 1, 1)), Want: Vals(x), Err: "want channels in 1 groups"},
		{Op: "ConvTranspose", Attrs: at("pads", []int{9, 9}), In: Vals(x, w), Want: Vals(x), Err: "less than the pads"},
		{Op: "ConvTranspose", Attrs: at("output_shape", []int{9, 9}), In: Vals(x, w), Want: Vals(x), Err: "output_shape is [9 9]"},
	})
}

func TestConvTransposeGradient(t *testing.T) {
	at := onnx.NewAttrs
	Gradients(t, []GradCase{
		{Name: "1-D", Op: "ConvTranspose", Attrs: at("strides", []int{2}, "pads", []int{1, 0}), In: Vals(Normal(1, 2, 4, 5), Normal(2, 4, 3, 3), Normal(3, 3))},
		{Name: "2-D", Op: "ConvTranspose", Attrs: at("strides", []int{2, 1}, "output_padding", []int{1, 0}), In: Vals(Normal(1, 2, 5, 3, 4), Normal(2, 5, 4, 3, 2), Normal(3, 4))},
		{Name: "groups", Op: "ConvTranspose", Attrs: at("group", 2, "dilations", []int{2, 1}), In: Vals(Normal(1, 1, 4, 3, 4), Normal(2, 4, 2, 2, 2), Normal(3, 4))},
		{Name: "output_shape", Op: "ConvTranspose", Attrs: at("output_shape", []int{7, 6}, "strides", []int{3, 2}), In: Vals(Normal(1, 1, 4, 2, 3), Normal(2, 4, 2, 3, 3))},
		{Name: "same upper", Op: "ConvTranspose", Attrs: at("auto_pad", "SAME_UPPER", "strides", []int{2}), In: Vals(Normal(1, 1, 2, 4), Normal(2, 2, 2, 3))},
	})
}
