package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXConvWeightGrad(t *testing.T) {
	dy, x, w := F32([]int{1, 1, 2}, 1, 10), F32([]int{1, 1, 3}, 2, 3, 4), F32([]int{1, 1, 2}, 0, 0)
	f16 := func(x *tensor.Tensor) *tensor.Tensor {
		h := make([]tensor.F16, x.Len())
		for i, v := range tensor.Data[float32](x) {
			h[i] = tensor.F16Of(v)
		}
		return tensor.Of(h, x.Shape()...)
	}
	Run(t, []Case{
		{Domain: "x", Op: "ConvWeightGrad", Opset: 1, In: Vals(dy, x, w), Want: Vals(F32([]int{1, 1, 2}, 32, 43))},
		{Domain: "x", Op: "ConvWeightGrad", Opset: 1, In: Vals(f16(dy), f16(x), f16(w)), Want: Vals(f16(F32([]int{1, 1, 2}, 32, 43)))},
		{Domain: "x", Op: "ConvWeightGrad", Opset: 1, In: Vals(F64([]int{1, 1, 2}, 1, 10), F64([]int{1, 1, 3}, 2, 3, 4), F64([]int{1, 1, 2}, 0, 0)), Want: Vals(F64([]int{1, 1, 2}, 32, 43))},
		{Domain: "x", Op: "ConvWeightGrad", Opset: 1, Attrs: onnx.NewAttrs("transposed", 1), In: Vals(x, dy, w), Want: Vals(F32([]int{1, 1, 2}, 32, 43))},
		{Domain: "x", Op: "ConvWeightGrad", Opset: 1, In: Vals(F32([]int{0, 1, 2}), F32([]int{0, 1, 3}), w), Want: Vals(w)},
		{Domain: "x", Op: "ConvWeightGrad", Opset: 1, In: Vals(dy, dy, w), Want: Vals(w), Err: "dY has shape [1 1 2]"},
	})
}
