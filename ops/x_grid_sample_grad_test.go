package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

// Against finite differences: TestGridSampleGradient.
func TestXGridSampleGrad(t *testing.T) {
	x, grid := F32([]int{1, 1, 1, 3}, 1, 2, 4), F32([]int{1, 1, 2, 2}, -0.5, 0, 0.25, 0)
	align := onnx.NewAttrs("mode", "linear", "align_corners", 1)
	Run(t, []Case{
		{Domain: "x", Op: "GridSampleGrad", Opset: 1, Attrs: align, In: Vals(F32([]int{1, 1, 1, 2}, 8, 16), x, grid),
			Want: Vals(F32([]int{1, 1, 1, 3}, 4, 16, 4), F32([]int{1, 1, 2, 2}, 8, 0, 32, 0))},
		{Domain: "x", Op: "GridSampleGrad", Opset: 1, Attrs: align, In: Vals(F32([]int{1, 1, 2, 1}, 8, 16), x, grid), Want: Vals(x, grid), Err: "want [1 1 1 2]"},
		{Domain: "x", Op: "GridSampleGrad", Opset: 1, Attrs: onnx.NewAttrs("mode", "cubic"), In: Vals(F32([]int{1, 1, 1, 1, 1}, 1), F32([]int{1, 1, 1, 1, 2}, 1, 2), F32([]int{1, 1, 1, 1, 3}, 0, 0, 0)),
			Want: Vals(x, grid), Err: "mode cubic for 3 spatial dimensions"},
	})
}
