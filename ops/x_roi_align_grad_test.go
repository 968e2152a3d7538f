package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

// Against finite differences: TestRoiAlignGradient.
func TestXRoiAlignGrad(t *testing.T) {
	x, rois, at := F32([]int{1, 1, 2, 2}, 1, 2, 4, 8), F32([]int{1, 4}, 0.5, 0.5, 1.5, 1.5), I64([]int{1}, 0)
	as := onnx.NewAttrs("sampling_ratio", 1)
	Run(t, []Case{ // one sample, in the middle of the four pixels
		{Domain: "x", Op: "RoiAlignGrad", Opset: 1, Attrs: as, In: Vals(F32([]int{1, 1, 1, 1}, 8), x, rois, at),
			Want: Vals(F32([]int{1, 1, 2, 2}, 2, 2, 2, 2), F32([]int{1, 4}, 10, 18, 10, 18))},
		{Domain: "x", Op: "RoiAlignGrad", Opset: 1, Attrs: as, In: Vals(F32([]int{1, 1, 1, 2}, 8, 8), x, rois, at), Want: Vals(x, rois), Err: "want [1 1 1 1]"},
		{Domain: "x", Op: "RoiAlignGrad", Opset: 1, Attrs: as, In: Vals(F32([]int{1, 1, 1, 1}, 8), x, rois, I64([]int{1}, 1)), Want: Vals(x, rois), Err: "batch index 1"},
	})
}
