package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXLayerNormalizationGrad(t *testing.T) {
	// Of x = -1, 1: x̂ = x. g = 6, 1, of mean 3.5 and mean(g·x̂) -2.5.
	dy, x, scale := F32([]int{1, 2}, 3, 1), F32([]int{1, 2}, -1, 1), F32([]int{2}, 2, 1)
	at := onnx.NewAttrs
	Run(t, []Case{
		{Domain: "x", Op: "LayerNormalizationGrad", Opset: 1, Attrs: at("epsilon", 0.0), In: Vals(dy, x, scale), Want: Vals(F32([]int{1, 2}, 0, 0), F32([]int{2}, -3, 1), F32([]int{2}, 3, 1))},
		{Domain: "x", Op: "LayerNormalizationGrad", Opset: 1, Attrs: at("epsilon", 0.0, "center", 0), In: Vals(dy, x, scale), Want: Vals(F32([]int{1, 2}, 3.5, 3.5), F32([]int{2}, -3, 1))},
		{Domain: "x", Op: "LayerNormalizationGrad", Opset: 1, Attrs: at("epsilon", 0.0, "center", 0), In: Vals(dy, x), Want: Vals(F32([]int{1, 2}, 2, 2))},
		{Domain: "x", Op: "LayerNormalizationGrad", Opset: 1, Attrs: at("axis", 1), In: Vals(F32([]int{0, 2}), F32([]int{0, 2}), scale), Want: Vals(F32([]int{0, 2}), F32([]int{2}, 0, 0), F32([]int{2}, 0, 0))},
		{Domain: "x", Op: "LayerNormalizationGrad", Opset: 1, In: Vals(F32([]int{2, 0}), F32([]int{2, 0})), Want: Vals(F32([]int{2, 0}), F32([]int{0}))},
		{Domain: "x", Op: "LayerNormalizationGrad", Opset: 1, Attrs: at("epsilon", 0.0, "center", 0), In: Vals(Of([]int{1, 2}, tensor.F16Of(3), tensor.F16Of(1)), Of([]int{1, 2}, tensor.F16Of(-1), tensor.F16Of(1))),
			Want: Vals(Of([]int{1, 2}, tensor.F16Of(2), tensor.F16Of(2)))},
		{Domain: "x", Op: "LayerNormalizationGrad", Opset: 1, In: Vals(scale, x), Want: Vals(x), Err: "dY has shape [2]"},
		{Domain: "x", Op: "LayerNormalizationGrad", Opset: 1, In: Vals(F32([]int{2, 2}, 1, 2, 3, 4), F32([]int{2, 2}, 1, 2, 3, 4), F32([]int{2, 1}, 1, 2)), Want: Vals(x), Err: "Scale has shape [2 1]"},
		{Domain: "x", Op: "LayerNormalizationGrad", Opset: 1, Attrs: at("axis", 2), In: Vals(dy, x), Want: Vals(x), Err: "axis"},
	})
}
