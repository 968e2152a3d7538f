package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestBinarizer(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "Binarizer", Opset: 1, Attrs: onnx.NewAttrs("threshold", float32(0.5)), In: Vals(F32([]int{2, 3}, -0.481, 1.065, 3.144, 1.107, -1.269, -4.125)), Want: Vals(F32([]int{2, 3}, 0, 1, 1, 1, 0, 0))},
		{Domain: "ai.onnx.ml", Op: "Binarizer", Opset: 1, In: Vals(F32([]int{2, 3}, 4.786, 0.861, 2.521, -0.953, 3.637, 1.039)), Want: Vals(F32([]int{2, 3}, 1, 1, 1, 0, 1, 1))},
		{Domain: "ai.onnx.ml", Op: "Binarizer", Opset: 1, Attrs: onnx.NewAttrs("threshold", float32(1.5)), In: Vals(I64([]int{3}, 1, 2, 3)), Want: Vals(I64([]int{3}, 0, 1, 1))},
		{Domain: "ai.onnx.ml", Op: "Binarizer", Opset: 1, In: Vals(Of[string]([]int{1}, "a")), Want: Vals(nil), Err: "element type string"},
	})
}
