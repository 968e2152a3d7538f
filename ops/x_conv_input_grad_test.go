package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXConvInputGrad(t *testing.T) {
	dy, w, x := F32([]int{1, 1, 2}, 1, 10), F32([]int{1, 1, 2}, 2, 3), F32([]int{1, 1, 3}, 0, 0, 0)
	f16 := func(x *tensor.Tensor) *tensor.Tensor {
		h := make([]tensor.F16, x.Len())
		for i, v := range tensor.Data[float32](x) {
			h[i] = tensor.F16Of(v)
		}
		return tensor.Of(h, x.Shape()...)
	}
	Run(t, []Case{
		{Domain: "x", Op: "ConvInputGrad", Opset: 1, In: Vals(dy, w, x), Want: Vals(F32([]int{1, 1, 3}, 2, 23, 30))},
		{Domain: "x", Op: "ConvInputGrad", Opset: 1, In: Vals(f16(dy), f16(w), f16(x)), Want: Vals(f16(F32([]int{1, 1, 3}, 2, 23, 30)))},
		{Domain: "x", Op: "ConvInputGrad", Opset: 1, In: Vals(F64([]int{1, 1, 2}, 1, 10), F64([]int{1, 1, 2}, 2, 3), F64([]int{1, 1, 3}, 0, 0, 0)), Want: Vals(F64([]int{1, 1, 3}, 2, 23, 30))},
		{Domain: "x", Op: "ConvInputGrad", Opset: 1, Attrs: onnx.NewAttrs("transposed", 1), In: Vals(F32([]int{1, 1, 3}, 1, 10, 100), w, F32([]int{1, 1, 2}, 0, 0)), Want: Vals(F32([]int{1, 1, 2}, 32, 320))},
		{Domain: "x", Op: "ConvInputGrad", Opset: 1, In: Vals(F32([]int{0, 1, 2}), w, F32([]int{0, 1, 3})), Want: Vals(F32([]int{0, 1, 3}))},
		{Domain: "x", Op: "ConvInputGrad", Opset: 1, In: Vals(dy, w, F32([]int{1, 1, 2}, 0, 0)), Want: Vals(x), Err: "dY has shape [1 1 2]"},
		{Domain: "x", Op: "ConvInputGrad", Opset: 1, In: Vals(dy, w, F32([]int{1, 2, 3}, 0, 0, 0, 0, 0, 0)), Want: Vals(x), Err: "want channels in 1 groups"},
		{Domain: "x", Op: "ConvInputGrad", Opset: 1, Attrs: onnx.NewAttrs("transposed", 1), In: Vals(dy, w, x), Want: Vals(x), Err: "dY has shape [1 1 2]"},
		{Domain: "x", Op: "ConvInputGrad", Opset: 1, Attrs: onnx.NewAttrs("transposed", 1), In: Vals(dy, w, F32([]int{1, 2, 1}, 0, 0)), Want: Vals(x), Err: "in 1 groups"},
	})
}
