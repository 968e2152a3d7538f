package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestDictVectorizer(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "DictVectorizer", Attrs: onnx.NewAttrs("string_vocabulary", []string{"a", "c", "b", "z"}),
			In: Vals(&tensor.Map{Keys: Of([]int{2}, "a", "c"), Values: I64([]int{2}, 4, 8)}), Want: Vals(I64([]int{1, 4}, 4, 8, 0, 0))},
		{Domain: "ai.onnx.ml", Op: "DictVectorizer", Attrs: onnx.NewAttrs("int64_vocabulary", []int{5, 1}),
			In: Vals(&tensor.Map{Keys: I64([]int{2}, 1, 2), Values: Of([]int{2}, "x", "y")}), Want: Vals(Of([]int{1, 2}, "", "x"))},
		{Domain: "ai.onnx.ml", Op: "DictVectorizer", Attrs: onnx.NewAttrs("int64_vocabulary", []int{5, 1}),
			In: Vals(&tensor.Map{Keys: I64([]int{2}, 1, 5), Values: F32([]int{2}, 1.5, 2)}), Want: Vals(F32([]int{1, 2}, 2, 1.5))},
		{Domain: "ai.onnx.ml", Op: "DictVectorizer", Attrs: onnx.NewAttrs("int64_vocabulary", []int{5}),
			In: Vals(&tensor.Map{Keys: Of([]int{1}, "a"), Values: F32([]int{1}, 1)}), Want: Vals(nil), Err: "want a map from int64"},
	})
}
