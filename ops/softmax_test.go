package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestSoftmax(t *testing.T) {
	Run(t, softmaxCases("Softmax", naiveSoftmax))
	inf := float32(math.Inf(1))
	Run(t, []Case{
		{Op: "Softmax", In: Vals(F32([]int{1, 3}, 1000, 1000, -1000)), Want: Vals(F32([]int{1, 3}, 0.5, 0.5, 0))},
		{Op: "Softmax", In: Vals(F32([]int{3}, 0, -inf, 0)), Want: Vals(F32([]int{3}, 0.5, 0, 0.5))},
		{Op: "Softmax", In: Vals(F32([]int{2}, 0, -90)), Want: Vals(F32([]int{2}, 1, 8.194012e-40))},
	})
}

func TestSoftmaxGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Softmax", In: Vals(Normal(1, 2, 5))},
		{Op: "Softmax", Attrs: onnx.NewAttrs("axis", 0), In: Vals(Normal(1, 3, 2, 2))},
	})
}
