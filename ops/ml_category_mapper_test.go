package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestCategoryMapper(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "CategoryMapper", Opset: 1, Attrs: onnx.NewAttrs("cats_int64s", []int{3, 1}, "cats_strings", []string{"x", "y"}, "default_int64", -9, "default_string", "?"), In: Vals(I64([]int{3}, 1, 3, 5)), Want: Vals(Of[string]([]int{3}, "y", "x", "?"))},
		{Domain: "ai.onnx.ml", Op: "CategoryMapper", Opset: 1, Attrs: onnx.NewAttrs("cats_int64s", []int{3, 1}, "cats_strings", []string{"x", "y"}, "default_int64", -9, "default_string", "?"), In: Vals(Of[string]([]int{1, 3}, "y", "q", "x")), Want: Vals(I64([]int{1, 3}, 1, -9, 3))},
		{Domain: "ai.onnx.ml", Op: "CategoryMapper", Opset: 1, Attrs: onnx.NewAttrs("cats_int64s", []int{3}, "cats_strings", []string{"x", "y"}), In: Vals(Of[string]([]int{1}, "y")), Want: Vals(nil), Err: "want equal numbers"},
	})
}
