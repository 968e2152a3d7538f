package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXBatchNormalizationGrad(t *testing.T) {
	// Of x = -1, 1: mean 0, variance 1, x̂ = x; dY = 3, 1: dB = 4, dScale = -2,
	// dX = 2·(dY - 2 + x̂) = 0 for training.
	dy, x, scale := F32([]int{1, 1, 2}, 3, 1), F32([]int{1, 1, 2}, -1, 1), F32([]int{1}, 2)
	b, g := F32([]int{1}, 4), F32([]int{1}, -2)
	train := onnx.NewAttrs("epsilon", 0.0, "training_mode", 1)
	f16 := func(v ...float32) *tensor.Tensor {
		h := make([]tensor.F16, len(v))
		for i, x := range v {
			h[i] = tensor.F16Of(x)
		}
		return tensor.Of(h, 1, 1, len(v))
	}
	Run(t, []Case{
		{Domain: "x", Op: "BatchNormalizationGrad", Opset: 1, Attrs: train, In: Vals(dy, x, scale), Want: Vals(F32([]int{1, 1, 2}, 0, 0), g, b)},
		{Domain: "x", Op: "BatchNormalizationGrad", Opset: 1, Attrs: train, In: Vals(f16(3, 1), f16(-1, 1), scale), Want: Vals(f16(0, 0), g, b)},
		{Domain: "x", Op: "BatchNormalizationGrad", Opset: 1, Attrs: train, In: Vals(dy, x, scale, nil, nil, F32([]int{1}, 6), F32([]int{1}, 5)), Want: Vals(F32([]int{1, 1, 2}, -2, 8), g, b)},
		{Domain: "x", Op: "BatchNormalizationGrad", Opset: 1, Attrs: onnx.NewAttrs("epsilon", 0.0), In: Vals(dy, x, scale, F32([]int{1}, 1), F32([]int{1}, 4)), Want: Vals(F32([]int{1, 1, 2}, 3, 1), F32([]int{1}, -3), b)},
		{Domain: "x", Op: "BatchNormalizationGrad", Opset: 1, Attrs: onnx.NewAttrs("training_mode", 1), In: Vals(F32([]int{0, 1, 2}), F32([]int{0, 1, 2}), scale), Want: Vals(F32([]int{0, 1, 2}), F32([]int{1}, 0), F32([]int{1}, 0))},
		{Domain: "x", Op: "BatchNormalizationGrad", Opset: 1, In: Vals(dy, x, scale), Want: Vals(x, scale, scale), Err: "input 3 is absent"},
		{Domain: "x", Op: "BatchNormalizationGrad", Opset: 1, Attrs: train, In: Vals(dy, x, F32([]int{2}, 1, 1)), Want: Vals(x, scale, scale), Err: "input 2 has shape [2], want [1]"},
		{Domain: "x", Op: "BatchNormalizationGrad", Opset: 1, Attrs: train, In: Vals(b, x, scale), Want: Vals(x, scale, scale), Err: "dY has shape [1]"},
	})
}
