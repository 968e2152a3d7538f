package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestQLinearConcat(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QLinearConcat", Opset: 1, Attrs: onnx.NewAttrs("axis", 1), In: Vals(F32([]int{}, 0.03), Of[uint8]([]int{}, 100), Of[uint8]([]int{2, 3}, 46, 96, 226, 248, 164, 149), F32([]int{}, 0.02), Of[uint8]([]int{}, 3), Of[uint8]([]int{2, 1}, 145, 15), F32([]int{}, 0.03), Of[uint8]([]int{}, 100), Of[uint8]([]int{2, 2}, 96, 251, 105, 54), F32([]int{}, 0.1), Of[uint8]([]int{}, 5)), Want: Vals(Of[uint8]([]int{2, 6}, 129, 162, 249, 145, 255, 255, 255, 207, 197, 15, 255, 255))},
		{Domain: "com.microsoft", Op: "QLinearConcat", Opset: 1, Attrs: onnx.NewAttrs("axis", -2), In: Vals(F32([]int{}, 0.03), Of[int8]([]int{}, 1), Of[int8]([]int{1, 3}, -67, 54, -119), F32([]int{}, 0.02), Of[int8]([]int{}, 3), Of[int8]([]int{2, 3}, 120, 96, 17, -9, 66, 12), F32([]int{}, 0.03), Of[int8]([]int{}, 10)), Want: Vals(Of[int8]([]int{3, 3}, -46, 35, -80, 111, 87, 8, -18, 57, 3))},
		{Domain: "com.microsoft", Op: "QLinearConcat", Opset: 1, Attrs: onnx.NewAttrs("axis", 1), In: Vals(F32([]int{}, 0.03), Of[uint8]([]int{}, 100), Of[uint8]([]int{2, 3}, 122, 82, 114, 192, 14, 6), F32([]int{}, 0.02), Of[uint8]([]int{}, 3), Of[uint8]([]int{3, 1}, 184, 95, 205), F32([]int{}, 0.03), Of[uint8]([]int{}, 100)), Want: Vals(nil), Err: "input 5 has shape [3 1], want 2 in dimension 0"},
		{Domain: "com.microsoft", Op: "QLinearConcat", Opset: 1, Attrs: onnx.NewAttrs("axis", 1), In: Vals(F32([]int{}, 0.03), Of[uint8]([]int{}, 100), Of[uint8]([]int{0, 4}), F32([]int{}, 0.02), Of[uint8]([]int{}, 3), Of[uint8]([]int{0, 1}), F32([]int{}, 0.03), Of[uint8]([]int{}, 100)), Want: Vals(Of[uint8]([]int{0, 5}))},
		{Domain: "com.microsoft", Op: "QLinearConcat", Opset: 1, Attrs: onnx.NewAttrs("axis", 2), In: Vals(F32([]int{}, 0.03), Of[uint8]([]int{}, 100), Of[uint8]([]int{2, 3}, 7, 232, 31, 106, 247, 27), F32([]int{}, 0.02), Of[uint8]([]int{}, 3)), Want: Vals(nil), Err: "axis 2 is not in [-2, 1]"},
	})
}
