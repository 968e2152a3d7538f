package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestXResizeGrad(t *testing.T) {
	near := onnx.NewAttrs("mode", "nearest", "coordinate_transformation_mode", "asymmetric", "nearest_mode", "floor")
	linear := onnx.NewAttrs("mode", "linear", "coordinate_transformation_mode", "align_corners")
	Run(t, []Case{
		{Domain: "x", Op: "ResizeGrad", Opset: 1, Attrs: near, In: Vals(F32([]int{1, 4}, 1, 2, 3, 4), nil, F32([]int{2}, 1, 2), nil, I64([]int{2}, 1, 2)), Want: Vals(F32([]int{1, 2}, 3, 7))},
		{Domain: "x", Op: "ResizeGrad", Opset: 1, Attrs: linear, In: Vals(F64([]int{3, 1}, 1, 2, 3), nil, nil, I64([]int{2}, 3, 1), I64([]int{2}, 2, 1)), Want: Vals(F64([]int{2, 1}, 2, 4))},
		{Domain: "x", Op: "ResizeGrad", Opset: 1, Attrs: near, In: Vals(F32([]int{0, 4}), nil, F32([]int{2}, 1, 2), nil, I64([]int{2}, 0, 2)), Want: Vals(F32([]int{0, 2}))},
		{Domain: "x", Op: "ResizeGrad", Opset: 1, Attrs: near, In: Vals(F32([]int{1, 3}, 1, 2, 3), nil, F32([]int{2}, 1, 2), nil, I64([]int{2}, 1, 2)), Want: Vals(F32([]int{1, 2}, 3, 7)), Err: "want [1 4]"},
	})
}
