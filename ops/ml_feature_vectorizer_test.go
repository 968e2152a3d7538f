package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestFeatureVectorizer(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "FeatureVectorizer", Opset: 1, Attrs: onnx.NewAttrs("inputdimensions", []int{3, 1}), In: Vals(F32([]int{2, 3}, 1.423, -2.747, -1.589, 1.706, 3.402, -0.169), F32([]int{2, 1}, -0.619, 2.536)), Want: Vals(F32([]int{2, 4}, 1.423, -2.747, -1.589, -0.619, 1.706, 3.402, -0.169, 2.536))},
		{Domain: "ai.onnx.ml", Op: "FeatureVectorizer", Opset: 1, Attrs: onnx.NewAttrs("inputdimensions", []int{2, 2}), In: Vals(F32([]int{2, 3}, -2.144, 0.556, 0.466, 2.019, 0.597, -0.533), F32([]int{2, 2}, 1.229, -2.253, 1.628, -1.345)), Want: Vals(F32([]int{2, 4}, -2.144, 0.556, 1.229, -2.253, 2.019, 0.597, 1.628, -1.345))},
		{Domain: "ai.onnx.ml", Op: "FeatureVectorizer", Opset: 1, Attrs: onnx.NewAttrs("inputdimensions", []int{4, 1}), In: Vals(F32([]int{2, 3}, -1.821, -0.735, 0.092, 1.421, -0.425, 1.471), F32([]int{2, 1}, 1.95, -0.212)), Want: Vals(F32([]int{2, 5}, -1.821, -0.735, 0.092, 0, 1.95, 1.421, -0.425, 1.471, 0, -0.212))},
		{Domain: "ai.onnx.ml", Op: "FeatureVectorizer", Opset: 1, Attrs: onnx.NewAttrs("inputdimensions", []int{1, 1}), In: Vals(I64([]int{2, 1}, 1, 2), I64([]int{2, 1}, 1, 2)), Want: Vals(F32([]int{2, 2}, 1, 1, 2, 2))},
		{Domain: "ai.onnx.ml", Op: "FeatureVectorizer", Opset: 1, Attrs: onnx.NewAttrs("inputdimensions", []int{3, 1}), In: Vals(F32([]int{2, 3}, -1.963, 1.84, 0.551, -4.23, -1.977, 0.286), F32([]int{3, 1}, -2.744, -1.363, -3.426)), Want: Vals(nil), Err: "input 1 has 3 rows, want 2"},
		{Domain: "ai.onnx.ml", Op: "FeatureVectorizer", Opset: 1, Attrs: onnx.NewAttrs("inputdimensions", []int{3, 1}), In: Vals(F32([]int{2, 3}, 0.805, 0.483, 0.352, 2.895, -0.705, -0.578)), Want: Vals(nil), Err: "inputdimensions has 2 elements, want 1"},
	})
}
