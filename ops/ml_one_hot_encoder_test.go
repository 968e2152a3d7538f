package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestOneHotEncoder(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "OneHotEncoder", Opset: 1, Attrs: onnx.NewAttrs("cats_int64s", []int{1, 3, 5}), In: Vals(I64([]int{3}, 1, 5, 3)), Want: Vals(F32([]int{3, 3}, 1, 0, 0, 0, 0, 1, 0, 1, 0))},
		{Domain: "ai.onnx.ml", Op: "OneHotEncoder", Opset: 1, Attrs: onnx.NewAttrs("cats_int64s", []int{1, 3, 5}), In: Vals(F32([]int{1, 2}, 1, 9)), Want: Vals(F32([]int{1, 2, 3}, 1, 0, 0, 0, 0, 0))},
		{Domain: "ai.onnx.ml", Op: "OneHotEncoder", Opset: 1, Attrs: onnx.NewAttrs("cats_strings", []string{"a", "b"}), In: Vals(Of[string]([]int{2}, "b", "x")), Want: Vals(F32([]int{2, 2}, 0, 1, 0, 0))},
		{Domain: "ai.onnx.ml", Op: "OneHotEncoder", Opset: 1, Attrs: onnx.NewAttrs("cats_int64s", []int{1, 3}, "zeros", 0), In: Vals(I64([]int{2}, 1, 9)), Want: Vals(nil), Err: "9 is no category"},
		{Domain: "ai.onnx.ml", Op: "OneHotEncoder", Opset: 1, Attrs: onnx.NewAttrs("cats_int64s", []int{1, 3}), In: Vals(Of[string]([]int{1}, "a")), Want: Vals(nil), Err: "want the type of the categories"},
		{Domain: "ai.onnx.ml", Op: "OneHotEncoder", Opset: 1, In: Vals(I64([]int{1}, 1)), Want: Vals(nil), Err: "neither cats_int64s nor cats_strings"},
	})
}
