package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestQLinearLeakyRelu(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QLinearLeakyRelu", Opset: 1, Attrs: onnx.NewAttrs("alpha", float32(0.25)), In: Vals(Of[uint8]([]int{3, 5}, 114, 163, 140, 173, 244, 38, 143, 112, 91, 61, 13, 103, 211, 24, 103), F32([]int{}, 0.05), Of[uint8]([]int{}, 128), F32([]int{}, 0.04), Of[uint8]([]int{}, 100)), Want: Vals(Of[uint8]([]int{3, 5}, 96, 144, 115, 156, 245, 72, 119, 95, 88, 79, 64, 92, 204, 67, 92))},
		{Domain: "com.microsoft", Op: "QLinearLeakyRelu", Opset: 1, In: Vals(Of[int8]([]int{9}, 119, 115, -73, -127, 43, -125, -52, -1, 95), F32([]int{}, 0.05), Of[int8]([]int{}, 3), F32([]int{}, 0.05), Of[int8]([]int{}, -10)), Want: Vals(Of[int8]([]int{9}, 106, 102, -11, -11, 30, -11, -11, -10, 82))},
		{Domain: "com.microsoft", Op: "QLinearLeakyRelu", Opset: 1, In: Vals(Of[uint8]([]int{2}, 23, 169), F32([]int{}, 1), Of[int8]([]int{}, 1), F32([]int{}, 1)), Want: Vals(nil), Err: "X_zero_point is int8, want uint8"},
	})
}
