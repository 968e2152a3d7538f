package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestPRelu(t *testing.T) {
	x := F32([]int{1, 2, 2}, -1, 2, -3, 4)
	Run(t, []Case{
		{Op: "PRelu", In: Vals(x, F32([]int{2}, 0.5, 2)), Want: Vals(F32([]int{1, 2, 2}, -0.5, 2, -1.5, 4))},
		{Op: "PRelu", In: Vals(x, F32([]int{2, 1}, 0.5, 2)), Want: Vals(F32([]int{1, 2, 2}, -0.5, 2, -6, 4))},
		{Op: "PRelu", In: Vals(x, F32([]int{1}, 10)), Want: Vals(F32([]int{1, 2, 2}, -10, 2, -30, 4))},
		{Op: "PRelu", Opset: 6, In: Vals(x, F32([]int{2}, 0.5, 2)), Want: Vals(F32([]int{1, 2, 2}, -0.5, 2, -6, 4))},
		{Op: "PRelu", Opset: 1, Attrs: onnx.NewAttrs("consumed_inputs", []int{0}), In: Vals(x, F32([]int{1}, 10)), Want: Vals(F32([]int{1, 2, 2}, -10, 2, -30, 4))},
		{Op: "PRelu", In: Vals(I32([]int{2}, -3, 3), I32([]int{}, 4)), Want: Vals(I32([]int{2}, -12, 3))},
		{Op: "PRelu", In: Vals(F32([]int{2}, -1, 2), F32([]int{2, 2}, 1, 2, 3, 4)), Want: Vals(F32([]int{2, 2}, -1, 2, -3, 2))},
		{Op: "PRelu", In: Vals(F32([]int{2, 1}, -1, 2), F32([]int{1, 2}, 3, 4)), Want: Vals(F32([]int{2, 2}, -3, -4, 2, 2))},
		{Op: "PRelu", In: Vals(F32([]int{}, -1), F32([]int{2}, 3, 4)), Want: Vals(F32([]int{2}, -3, -4))},
		{Op: "PRelu", In: Vals(F32([]int{2}, -1, 2), F32([]int{3}, 1, 2, 3)), Want: Vals(x), Err: "2"},
		{Op: "PRelu", Opset: 6, In: Vals(F32([]int{}, -1), F32([]int{1}, 3)), Want: Vals(F32([]int{}, -3))},
		{Op: "PRelu", Opset: 6, In: Vals(F32([]int{2}, 1, 2), F32([]int{2, 2}, 1, 1, 1, 1)), Want: Vals(x), Err: "want one that broadcasts to X's shape [2]"},
	})
}

func TestPReluGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "PRelu", In: Vals(Normal(1, 2, 3, 4), Normal(2, 3, 1))},
		{Op: "PRelu", In: Vals(Normal(1, 2, 3), Normal(2, 1))},
		{Op: "PRelu", In: Vals(Normal(1, 2, 3), Normal(2, 2, 3))},
		{Op: "PRelu", In: Vals(Normal(1, 3), Normal(2, 2, 3))},
	})
}
