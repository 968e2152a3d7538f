package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestCompress(t *testing.T) {
	x := F32([]int{3, 2}, 1, 2, 3, 4, 5, 6)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Compress", Attrs: a("axis", 0), In: Vals(x, Of([]int{3}, false, true, true)), Want: Vals(F32([]int{2, 2}, 3, 4, 5, 6))},
		{Op: "Compress", Opset: 9, Attrs: a("axis", 1), In: Vals(x, Of([]int{2}, false, true)), Want: Vals(F32([]int{3, 1}, 2, 4, 6))},
		{Op: "Compress", In: Vals(x, Of([]int{5}, false, true, false, false, true)), Want: Vals(F32([]int{2}, 2, 5))},
		{Op: "Compress", Attrs: a("axis", -1), In: Vals(x, Of([]int{1}, true)), Want: Vals(F32([]int{3, 1}, 1, 3, 5))},
		{Op: "Compress", Attrs: a("axis", 0), In: Vals(x, Of([]int{1}, false)), Want: Vals(F32([]int{0, 2}))},
		{Op: "Compress", Attrs: a("axis", 2), In: Vals(x, Of([]int{1}, false)), Want: Vals(x), Err: "axis 2 is not in [-2, 1]"},
		{Op: "Compress", In: Vals(x, F32([]int{1}, 1)), Want: Vals(x), Err: "element type float32 of input 1"},
	})
}

func TestCompressGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Compress", Attrs: onnx.NewAttrs("axis", -1), In: Vals(Normal(1, 2, 4), Of([]int{3}, true, false, true))},
		{Op: "Compress", In: Vals(Normal(1, 2, 3), Of([]int{7}, true, false, false, false, true, false, true))},
	})
}
