package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestReverseSequence(t *testing.T) {
	x := I64([]int{3, 2}, 1, 2, 3, 4, 5, 6)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "ReverseSequence", In: Vals(x, I64(nil, 3, 2)), Want: Vals(I64([]int{3, 2}, 5, 4, 3, 2, 1, 6))},
		{Op: "ReverseSequence", Attrs: a("batch_axis", 0, "time_axis", 1), In: Vals(x, I64(nil, 2, 1, 0)), Want: Vals(I64([]int{3, 2}, 2, 1, 3, 4, 5, 6))},
		{Op: "ReverseSequence", Opset: 10, In: Vals(F32([]int{2, 1, 2}, 1, 2, 3, 4), I64(nil, 2)), Want: Vals(F32([]int{2, 1, 2}, 3, 4, 1, 2))},
		{Op: "ReverseSequence", In: Vals(x, I64(nil, 3, 4)), Want: Vals(x), Err: "sequence length 4 is not in [0, 3]"},
		{Op: "ReverseSequence", In: Vals(x, I64(nil, 3)), Want: Vals(x), Err: "1 elements, want 2"},
		{Op: "ReverseSequence", Attrs: a("batch_axis", 0), In: Vals(x, I64(nil, 3)), Want: Vals(x), Err: "want 0 and 1"},
	})
}

func TestReverseSequenceGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ReverseSequence", In: Vals(Normal(1, 4, 3, 2), I64([]int{3}, 4, 1, 3))},
	})
}
