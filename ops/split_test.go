package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestSplit(t *testing.T) {
	x := F32([]int{2, 4}, 1, 2, 3, 4, 5, 6, 7, 8)
	v := I64(nil, 1, 2, 3, 4, 5)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Split", Attrs: a("axis", 1, "num_outputs", 2), In: Vals(x), Want: Vals(F32([]int{2, 2}, 1, 2, 5, 6), F32([]int{2, 2}, 3, 4, 7, 8))},
		{Op: "Split", Attrs: a("num_outputs", 3), In: Vals(v), Want: Vals(I64(nil, 1, 2), I64(nil, 3, 4), I64(nil, 5))},
		{Op: "Split", Attrs: a("num_outputs", 4), In: Vals(v), Want: Vals(I64(nil, 1, 2), I64(nil, 3, 4), I64(nil, 5), I64([]int{0}))},
		{Op: "Split", Attrs: a("axis", -1), In: Vals(x, I64(nil, 3, 0, 1)), Want: Vals(F32([]int{2, 3}, 1, 2, 3, 5, 6, 7), nil, F32([]int{2, 1}, 4, 8))},
		{Op: "Split", Opset: 13, In: Vals(v, I64(nil, 4, 1)), Want: Vals(I64(nil, 1, 2, 3, 4), I64(nil, 5))},
		{Op: "Split", Opset: 13, In: Vals(v), Want: Vals(v, v), Err: "5 does not split into 2"},
		{Op: "Split", Opset: 2, Attrs: a("split", []int{2, 3}), In: Vals(v), Want: Vals(I64(nil, 1, 2), I64(nil, 3, 4, 5))},
		{Op: "Split", Opset: 11, Attrs: a("axis", -2), In: Vals(x), Want: Vals(F32([]int{1, 4}, 1, 2, 3, 4), F32([]int{1, 4}, 5, 6, 7, 8))},
		{Op: "Split", Opset: 1, In: Vals(v, I64(nil, 2, 3)), Want: Vals(I64(nil, 1, 2), I64(nil, 3, 4, 5))},
		{Op: "Split", Opset: 1, In: Vals(F32([]int{3}, 1, 2, 3), F32([]int{2}, 1, 2)), Want: Vals(F32([]int{1}, 1), F32([]int{2}, 2, 3))},
		{Op: "Split", Opset: 1, In: Vals(F32([]int{3}, 1, 2, 3), F32([]int{2}, 1.5, 1.5)), Want: Vals(nil, nil), Err: "want whole numbers"},
		{Op: "Split", In: Vals(v, I64(nil, 2, 2)), Want: Vals(v, v), Err: "sum 4, want 5"},
		{Op: "Split", In: Vals(v, I64(nil, -1, 6)), Want: Vals(v, v), Err: "size -1"},
		{Op: "Split", In: Vals(v, I64(nil, 5)), Want: Vals(v, v), Err: "1 sizes, want 2"},
		{Op: "Split", Attrs: a("num_outputs", 3), In: Vals(v), Want: Vals(v, v), Err: "2 outputs"},
	})
}

func TestSplitGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Split", Attrs: onnx.NewAttrs("axis", -1), Outs: 3, In: Vals(Normal(1, 2, 6), I64([]int{3}, 1, 3, 2))},
		{Op: "Split", Attrs: onnx.NewAttrs("num_outputs", 2), Outs: 2, Silent: []int{0}, In: Vals(Normal(1, 5, 2))},
	})
}
