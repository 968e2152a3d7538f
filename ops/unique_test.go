package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestUnique(t *testing.T) {
	x := F32([]int{6}, 2, 1, 1, 3, 4, 3)
	m := F32([]int{3, 3}, 1, 0, 0, 1, 0, 0, 2, 3, 4)
	nan := float32(math.NaN())
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Unique", In: Vals(x), Want: Vals(F32([]int{4}, 1, 2, 3, 4), I64(nil, 1, 0, 3, 4), I64(nil, 1, 0, 0, 2, 3, 2), I64(nil, 2, 1, 2, 1))},
		{Op: "Unique", Opset: 11, Attrs: a("sorted", 0), In: Vals(x), Want: Vals(F32([]int{4}, 2, 1, 3, 4), I64(nil, 0, 1, 3, 4), I64(nil, 0, 1, 1, 2, 3, 2), I64(nil, 1, 2, 2, 1))},
		{Op: "Unique", Attrs: a("axis", 0), In: Vals(m), Want: Vals(F32([]int{2, 3}, 1, 0, 0, 2, 3, 4), I64(nil, 0, 2), I64(nil, 0, 0, 1), I64(nil, 2, 1))},
		{Op: "Unique", Attrs: a("axis", -1), In: Vals(m), Want: Vals(F32([]int{3, 3}, 0, 0, 1, 0, 0, 1, 3, 4, 2), nil, I64(nil, 2, 0, 1))},
		{Op: "Unique", In: Vals(F32([]int{4}, nan, 1, nan, 0)), Want: Vals(F32([]int{3}, 0, 1, nan), nil, nil, I64(nil, 1, 1, 2))},
		{Op: "Unique", In: Vals(Of([]int{3}, "b", "a", "b")), Want: Vals(Of([]int{2}, "a", "b"))},
		{Op: "Unique", In: Vals(F32([]int{0})), Want: Vals(F32([]int{0}), I64([]int{0}))},
		{Op: "Unique", In: Vals(F32([]int{2, 2}, 1, 1, 0, 1)), Want: Vals(F32([]int{2}, 0, 1))},
		{Op: "Unique", Attrs: a("axis", 1), In: Vals(x), Want: Vals(x), Err: "axis 1 is not in [-1, 0]"},
		{Op: "Unique", In: Vals(Of([]int{1}, 1i)), Want: Vals(x), Err: "element type complex128"},
	})
}

func TestGradientOfUnique(t *testing.T) {
	x := Distinct(1, -3, 0.25, 3, 5)
	Gradients(t, []GradCase{
		{Op: "Unique", In: Vals(x)},
		{Op: "Unique", In: Vals(x), Attrs: onnx.NewAttrs("sorted", 0), Outs: 4},
		{Op: "Unique", In: Vals(x), Attrs: onnx.NewAttrs("axis", -1)},
		{Op: "Unique", In: Vals(tensor.New(tensor.Float64, 0))},
	})
}
