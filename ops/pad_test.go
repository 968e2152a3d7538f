package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestPad(t *testing.T) {
	x := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	v := I64(nil, 1, 2, 3)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Pad", In: Vals(x, I64(nil, 0, 1, 1, 0), F32([]int{}, 9)), Want: Vals(F32([]int{3, 4}, 9, 1, 2, 3, 9, 4, 5, 6, 9, 9, 9, 9))},
		{Op: "Pad", In: Vals(x, I64(nil, -1, 1, 0, -2)), Want: Vals(F32([]int{1, 2}, 0, 4))},
		{Op: "Pad", In: Vals(x, I64(nil, 2, -1), nil, I64(nil, -1)), Want: Vals(F32([]int{2, 4}, 0, 0, 1, 2, 0, 0, 4, 5))},
		{Op: "Pad", In: Vals(x, I64([]int{0}), nil, I64([]int{0})), Want: Vals(x)},
		{Op: "Pad", Opset: 11, In: Vals(x, I64(nil, 0, 0, 0, 0)), Want: Vals(x)},
		{Op: "Pad", Attrs: a("mode", "reflect"), In: Vals(v, I64(nil, 2, 1)), Want: Vals(I64(nil, 3, 2, 1, 2, 3, 2))},
		{Op: "Pad", Attrs: a("mode", "reflect"), In: Vals(v, I64(nil, 5, 0)), Want: Vals(I64(nil, 2, 1, 2, 3, 2, 1, 2, 3))},
		{Op: "Pad", Attrs: a("mode", "edge"), In: Vals(v, I64(nil, 1, 2)), Want: Vals(I64(nil, 1, 1, 2, 3, 3, 3))},
		{Op: "Pad", Attrs: a("mode", "wrap"), In: Vals(v, I64(nil, 2, 1)), Want: Vals(I64(nil, 2, 3, 1, 2, 3, 1))},
		{Op: "Pad", Attrs: a("mode", "wrap"), In: Vals(I64(nil, 1, 2, 3, 4, 5), I64(nil, -1, 2)), Want: Vals(I64(nil, 2, 3, 4, 5, 2, 3))},
		{Op: "Pad", Attrs: a("mode", "wrap"), In: Vals(I64(nil, 1, 2, 3, 4, 5), I64(nil, 3, -2)), Want: Vals(I64(nil, 1, 2, 3, 1, 2, 3))},
		{Op: "Pad", Attrs: a("mode", "reflect"), In: Vals(I64(nil, 1, 2, 3, 4, 5), I64(nil, 2, -1)), Want: Vals(I64(nil, 3, 2, 1, 2, 3, 4))},
		{Op: "Pad", Attrs: a("mode", "edge"), In: Vals(x, I64(nil, 1, 0, 0, 1)), Want: Vals(F32([]int{3, 4}, 1, 2, 3, 3, 1, 2, 3, 3, 4, 5, 6, 6))},
		{Op: "Pad", In: Vals(Of([]int{1}, "a"), I64(nil, 0, 1)), Want: Vals(Of([]int{2}, "a", ""))},
		{Op: "Pad", In: Vals(Of([]int{1}, true), I64(nil, 1, 1)), Want: Vals(Of([]int{3}, false, true, false))},
		{Op: "Pad", In: Vals(F32([]int{0}), I64(nil, 1, 1), F32([]int{}, 2)), Want: Vals(F32([]int{2}, 2, 2))},
		{Op: "Pad", In: Vals(v, I64(nil, -3, 2)), Want: Vals(I64(nil, 0, 0))},
		{Op: "Pad", In: Vals(v, I64(nil, -4, 3), I64([]int{1}, 7)), Want: Vals(I64(nil, 7, 7))},
		{Op: "Pad", Opset: 1, Attrs: a("paddings", []int{0, 1, 0, 0}, "value", 2.0), In: Vals(x), Want: Vals(F32([]int{2, 4}, 2, 1, 2, 3, 2, 4, 5, 6))},
		{Op: "Pad", Opset: 2, Attrs: a("pads", []int{1, 1}, "mode", "edge"), In: Vals(F32([]int{1}, 3)), Want: Vals(F32([]int{3}, 3, 3, 3))},
		{Op: "Pad", In: Vals(v, I64(nil, 1)), Want: Vals(v), Err: "pads has 1 elements, want 2"},
		{Op: "Pad", In: Vals(v, I64(nil, -2, -2)), Want: Vals(v), Err: "less than nothing", Const: []int{}},
		{Op: "Pad", In: Vals(v, I64(nil, 1, 1), F32([]int{}, 1)), Want: Vals(v), Err: "constant_value is float32"},
		{Op: "Pad", Attrs: a("mode", "mirror"), In: Vals(v, I64(nil, 1, 1)), Want: Vals(v), Err: "mirror"},
		{Op: "Pad", Attrs: a("mode", "edge"), In: Vals(F32([]int{0}), I64(nil, 1, 1)), Want: Vals(v), Err: "nothing to repeat"},
	})
}

func TestPadGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Pad", In: Vals(Normal(1, 3, 4), I64([]int{4}, 1, 0, 2, -1), F64([]int{}, 0.5))},
		{Op: "Pad", Attrs: onnx.NewAttrs("mode", "reflect"), In: Vals(Normal(1, 3, 4, 5), I64([]int{4}, 2, 1, 1, 2), nil, I64([]int{2}, 1, 2))},
		{Op: "Pad", Attrs: onnx.NewAttrs("mode", "edge"), In: Vals(Normal(1, 3, 4, 5), I64([]int{4}, 2, 1, 1, 2), nil, I64([]int{2}, 1, 2))},
		{Op: "Pad", Attrs: onnx.NewAttrs("mode", "wrap"), In: Vals(Normal(1, 3, 4, 5), I64([]int{4}, 2, 1, 1, 2), nil, I64([]int{2}, 1, 2))},
		{Op: "Pad", Attrs: onnx.NewAttrs("mode", "edge"), In: Vals(Normal(1, 3, 4), I64([]int{4}, -1, 1, 2, -2))},
	})
}
