package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestZipMap(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "ZipMap", Attrs: onnx.NewAttrs("classlabels_strings", []string{"a", "b"}), In: Vals(F32([]int{2, 2}, 1, 2, 3, 4)), Want: Vals(&tensor.Sequence{Elems: Vals(
			&tensor.Map{Keys: Of([]int{2}, "a", "b"), Values: F32([]int{2}, 1, 2)}, &tensor.Map{Keys: Of([]int{2}, "a", "b"), Values: F32([]int{2}, 3, 4)})})},
		{Domain: "ai.onnx.ml", Op: "ZipMap", Attrs: onnx.NewAttrs("classlabels_int64s", []int{7, 9}), In: Vals(F32([]int{2}, 1, 2)), Want: Vals(&tensor.Sequence{Elems: Vals(
			&tensor.Map{Keys: I64([]int{2}, 7, 9), Values: F32([]int{2}, 1, 2)})})},
		{Domain: "ai.onnx.ml", Op: "ZipMap", Attrs: onnx.NewAttrs("classlabels_int64s", []int{7}), In: Vals(F32([]int{1, 2}, 1, 2)), Want: Vals(nil), Err: "X has 2 columns, want 1"},
	})
}
