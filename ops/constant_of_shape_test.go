package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestConstantOfShape(t *testing.T) {
	a := onnx.NewAttrs
	i4, _ := tensor.FromBytes(tensor.Int4, []int{1}, []byte{3}, nil)
	want, _ := tensor.FromBytes(tensor.Int4, []int{3}, []byte{0x33, 0x03}, nil)
	Run(t, []Case{
		{Op: "ConstantOfShape", In: Vals(I64(nil, 2, 2)), Want: Vals(F32([]int{2, 2}, 0, 0, 0, 0))},
		{Op: "ConstantOfShape", Opset: 9, Attrs: a("value", I64(nil, 7)), In: Vals(I64(nil, 3)), Want: Vals(I64(nil, 7, 7, 7))},
		{Op: "ConstantOfShape", Attrs: a("value", Of([]int{1}, true)), In: Vals(I64([]int{0})), Want: Vals(Of([]int{}, true))},
		{Op: "ConstantOfShape", Attrs: a("value", i4), In: Vals(I64(nil, 3)), Want: Vals(want)},
		{Op: "ConstantOfShape", In: Vals(I64(nil, 0, 3)), Want: Vals(F32([]int{0, 3}))},
		{Op: "ConstantOfShape", In: Vals(I64(nil, -1)), Want: Vals(i4), Err: "dimension -1"},
		{Op: "ConstantOfShape", In: Vals(I64(nil, 1<<40, 1<<40)), Want: Vals(i4), Err: "overflow"},
		{Op: "ConstantOfShape", Attrs: a("value", I64(nil, 7, 8)), In: Vals(I64(nil, 3)), Want: Vals(i4), Err: "2 elements, want 1"},
	})
}
