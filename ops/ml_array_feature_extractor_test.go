package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestArrayFeatureExtractor(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "ArrayFeatureExtractor", Opset: 1, In: Vals(F32([]int{2, 3}, 0.1, -1.804, 0.736, -0.973, -0.446, -3.245), I64([]int{2}, 2, 0)), Want: Vals(F32([]int{2, 2}, 0.736, 0.1, -3.245, -0.973))},
		{Domain: "ai.onnx.ml", Op: "ArrayFeatureExtractor", Opset: 1, In: Vals(F32([]int{4}, -0.981, 0.32, -2.502, 0.148), I64([]int{1, 2}, 1, 3)), Want: Vals(F32([]int{1, 2}, 0.32, 0.148))},
		{Domain: "ai.onnx.ml", Op: "ArrayFeatureExtractor", Opset: 1, In: Vals(Of[string]([]int{2, 2}, "a", "b", "c", "d"), I64([]int{1}, 1)), Want: Vals(Of[string]([]int{2, 1}, "b", "d"))},
		{Domain: "ai.onnx.ml", Op: "ArrayFeatureExtractor", Opset: 1, In: Vals(F32([]int{2, 2, 3}, 1.327, -0.614, -1.242, -1.24, 1.882, -3.069, -0.601, -0.839, 0.288, -0.139, -2.215, 4.08), I64([]int{3}, 1, 1, 0)), Want: Vals(F32([]int{2, 2, 3}, -0.614, -0.614, 1.327, 1.882, 1.882, -1.24, -0.839, -0.839, -0.601, -2.215, -2.215, -0.139))},
		{Domain: "ai.onnx.ml", Op: "ArrayFeatureExtractor", Opset: 1, In: Vals(F32([]int{2, 3}, 0.355, -2.684, -1.783, 0.195, 1.226, -2.684), I64([]int{1}, 3)), Want: Vals(nil), Err: "index 3 is not in [0, 2]"},
	})
}
