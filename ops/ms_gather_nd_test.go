package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMicrosoftGatherND(t *testing.T) {
	x := I64([]int{2, 2}, 0, 1, 2, 3)
	Run(t, []Case{
		{Op: "GatherND", Domain: "com.microsoft", In: Vals(x, I32([]int{1, 1}, 1)), Want: Vals(I64([]int{1, 2}, 2, 3))},
		{Op: "GatherND", Domain: "com.microsoft", In: Vals(x, I64([]int{2, 2}, 0, 1, 1, 0)), Want: Vals(I64(nil, 1, 2))},
		{Op: "GatherND", Domain: "com.microsoft", In: Vals(x, I64([]int{1, 1}, 2)), Want: Vals(x), Err: "is not in"},
		{Op: "GatherND", Domain: "com.microsoft", Attrs: onnx.NewAttrs("batch_dims", 1), In: Vals(x, I64([]int{2, 1}, 0, 0)), Want: Vals(x), Err: "batch_dims"},
	})
}

func TestMSGatherNDGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Domain: "com.microsoft", Opset: 1, Op: "GatherND", In: Vals(Normal(1, 3, 4), I64([]int{2, 1}, 2, 2))},
	})
}
