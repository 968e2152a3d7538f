package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

// Against finite differences: TestMaxRoiPoolGradient.
func TestXMaxRoiPoolGrad(t *testing.T) {
	x, rois := F32([]int{1, 1, 2, 2}, 1, 4, 3, 2), F32([]int{2, 5}, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1)
	as := onnx.NewAttrs("pooled_shape", []int{1, 1})
	Run(t, []Case{
		{Domain: "x", Op: "MaxRoiPoolGrad", Opset: 1, Attrs: as, In: Vals(F32([]int{2, 1, 1, 1}, 5, 7), x, rois), Want: Vals(F32([]int{1, 1, 2, 2}, 0, 5, 7, 0))},
		{Domain: "x", Op: "MaxRoiPoolGrad", Opset: 1, Attrs: as, In: Vals(F32([]int{1, 1, 1, 1}, 5), x, rois), Want: Vals(x), Err: "want [2 1 1 1]"},
		{Domain: "x", Op: "MaxRoiPoolGrad", Opset: 1, Attrs: as, In: Vals(F32([]int{1, 1, 1, 1}, 5), x, F32([]int{1, 5}, 1, 0, 0, 1, 1)), Want: Vals(x), Err: "batch index 1"},
	})
}
