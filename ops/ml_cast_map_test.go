package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestCastMap(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "CastMap", In: Vals(&tensor.Map{Keys: I64([]int{2}, 9, 3), Values: Of([]int{2}, "1.5", "2")}), Want: Vals(F32([]int{1, 2}, 2, 1.5))},
		{Domain: "ai.onnx.ml", Op: "CastMap", Attrs: onnx.NewAttrs("map_form", "SPARSE", "max_map", 4, "cast_to", "TO_INT64"),
			In: Vals(&tensor.Map{Keys: I64([]int{2}, 3, 1), Values: F32([]int{2}, 7.9, 2)}), Want: Vals(I64([]int{1, 4}, 0, 2, 0, 7))},
		{Domain: "ai.onnx.ml", Op: "CastMap", Attrs: onnx.NewAttrs("map_form", "SPARSE", "max_map", 2),
			In: Vals(&tensor.Map{Keys: I64([]int{1}, 3), Values: F32([]int{1}, 7)}), Want: Vals(nil), Err: "key 3, want less than max_map"},
	})
}
