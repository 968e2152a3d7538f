package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestGlobalLpPool(t *testing.T) {
	x := F32([]int{1, 2, 1, 2}, 3, -4, 0, 1)
	Run(t, []Case{
		{Op: "GlobalLpPool", In: Vals(x), Want: Vals(F32([]int{1, 2, 1, 1}, 5, 1))},
		{Op: "GlobalLpPool", Attrs: onnx.NewAttrs("p", 1), In: Vals(x), Want: Vals(F32([]int{1, 2, 1, 1}, 7, 1))},
		{Op: "GlobalLpPool", Opset: 1, Attrs: onnx.NewAttrs("p", 1.0), In: Vals(x), Want: Vals(F32([]int{1, 2, 1, 1}, 7, 1))},
		{Op: "GlobalLpPool", Attrs: onnx.NewAttrs("p", 0), In: Vals(x), Want: Vals(x), Err: "p is 0"},
	})
}

func TestGlobalLpPoolGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "GlobalLpPool", In: Vals(Normal(1, 2, 3, 4))},
		{Op: "GlobalLpPool", Attrs: onnx.NewAttrs("p", 3), In: Vals(Normal(2, 2, 3, 2, 2))},
	})
}
