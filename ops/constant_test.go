package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestConstant(t *testing.T) {
	x := F32([]int{1, 2}, 1, 2)
	a := onnx.NewAttrs
	flat := &tensor.Sparse{Values: I64(nil, 5, 6), Indices: I64(nil, 1, 5), Shape: []int{2, 3}}
	coo := &tensor.Sparse{Values: Of([]int{1}, "a"), Indices: I64([]int{1, 2}, 1, 0), Shape: []int{2, 2}}
	bad := &tensor.Sparse{Values: I64(nil, 5), Indices: I64(nil, 6), Shape: []int{2, 3}}
	Run(t, []Case{
		{Op: "Constant", Attrs: a("value", x), Want: Vals(x)},
		{Op: "Constant", Opset: 1, Attrs: a("value", x), Want: Vals(x)},
		{Op: "Constant", Attrs: a("value_float", 1.5), Want: Vals(F32([]int{}, 1.5))},
		{Op: "Constant", Attrs: a("value_floats", []float64{1, 2}), Want: Vals(F32([]int{2}, 1, 2))},
		{Op: "Constant", Attrs: a("value_int", 3), Want: Vals(I64([]int{}, 3))},
		{Op: "Constant", Attrs: a("value_ints", []int{3, 4}), Want: Vals(I64([]int{2}, 3, 4))},
		{Op: "Constant", Attrs: a("value_string", "a"), Want: Vals(Of([]int{}, "a"))},
		{Op: "Constant", Attrs: a("value_strings", []string{"a", "b"}), Want: Vals(Of([]int{2}, "a", "b"))},
		{Op: "Constant", Attrs: a("sparse_value", flat), Want: Vals(I64([]int{2, 3}, 0, 5, 0, 0, 0, 6))},
		{Op: "Constant", Attrs: a("sparse_value", coo), Want: Vals(Of([]int{2, 2}, "", "", "a", ""))},
		{Op: "Constant", Attrs: a("sparse_value", bad), Want: Vals(x), Err: "index 6 is not in [0, 5]"},
		{Op: "Constant", Want: Vals(x), Err: "0 value attributes"},
		{Op: "Constant", Attrs: a("value_int", 1, "value_float", 1.0), Want: Vals(x), Err: "2 value attributes"},
		{Op: "Constant", Attrs: a("value_int", 1.0), Want: Vals(x), Err: "is a float, want an int"},
	})
}
