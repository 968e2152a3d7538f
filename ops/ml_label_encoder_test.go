package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestLabelEncoder(t *testing.T) {
	nan := float32(math.NaN())
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 1, Attrs: onnx.NewAttrs("classes_strings", []string{"a", "b"}, "default_int64", 7), In: Vals(Of[string]([]int{3}, "b", "z", "a")), Want: Vals(I64([]int{3}, 1, 7, 0))},
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 1, Attrs: onnx.NewAttrs("classes_strings", []string{"a", "b"}, "default_string", "?"), In: Vals(I64([]int{3}, 1, 0, 9)), Want: Vals(Of[string]([]int{3}, "b", "a", "?"))},
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 2, Attrs: onnx.NewAttrs("keys_strings", []string{"a", "b"}, "values_floats", []float32{1.5, 2.5}), In: Vals(Of[string]([]int{3}, "b", "z", "a")), Want: Vals(F32([]int{3}, 2.5, -0, 1.5))},
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 2, Attrs: onnx.NewAttrs("keys_floats", []float32{1, 3}, "values_int64s", []int{10, 20}), In: Vals(F32([]int{3}, 1, 2, nan)), Want: Vals(I64([]int{3}, 10, -1, -1))},
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 2, Attrs: onnx.NewAttrs("keys_int64s", []int{1, 1}, "values_strings", []string{"p", "q"}), In: Vals(I64([]int{2}, 1, 2)), Want: Vals(Of[string]([]int{2}, "p", "_Unused"))},
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 2, Attrs: onnx.NewAttrs("keys_int64s", []int{1}, "values_int64s", []int{5}), In: Vals(I64([]int{2}, 1, 2)), Want: Vals(I64([]int{2}, 5, -1))},
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 4, Attrs: onnx.NewAttrs("keys_tensor", F64([]int{2}, 1, 3), "values_tensor", Of[string]([]int{2}, "p", "q"), "default_tensor", Of[string]([]int{1}, "d")), In: Vals(F64([]int{2}, 1, 2)), Want: Vals(Of[string]([]int{2}, "p", "d"))},
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 4, Attrs: onnx.NewAttrs("keys_tensor", Of[string]([]int{2}, "a", "b"), "values_tensor", Of[int16]([]int{2}, 4, 5), "default_tensor", Of[int16]([]int{1}, 42)), In: Vals(Of[string]([]int{2}, "a", "c")), Want: Vals(Of[int16]([]int{2}, 4, 42))},
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 4, Attrs: onnx.NewAttrs("keys_tensor", I32([]int{2}, 1, 2), "values_floats", []float32{0.5, 0.25}), In: Vals(I32([]int{2}, 1, 2)), Want: Vals(F32([]int{2}, 0.5, 0.25))},
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 2, Attrs: onnx.NewAttrs("keys_int64s", []int{1}, "values_int64s", []int{5, 6}), In: Vals(I64([]int{2}, 1, 2)), Want: Vals(nil), Err: "1 keys and 2 values"},
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 2, Attrs: onnx.NewAttrs("keys_int64s", []int{1}), In: Vals(I64([]int{2}, 1, 2)), Want: Vals(nil), Err: "0 attributes give the values, want 1"},
		{Domain: "ai.onnx.ml", Op: "LabelEncoder", Opset: 2, Attrs: onnx.NewAttrs("keys_int64s", []int{1}, "values_int64s", []int{5}), In: Vals(F32([]int{2}, 4.04, -2.602)), Want: Vals(nil), Err: "element type float32"},
	})
}
