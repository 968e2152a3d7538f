package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestCropAndResize(t *testing.T) {
	x := F32([]int{2, 1, 2, 3}, 0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15)
	op := func(attrs onnx.Attrs, rois tensor.Value, batch, size []int32, want tensor.Value) Case {
		return Case{Op: "CropAndResize", Domain: "com.microsoft", Attrs: attrs, Tol: close5,
			In: Vals(x, rois, I32([]int{len(batch)}, batch...), I32([]int{2}, size...)), Want: Vals(want)}
	}
	whole := F32([]int{1, 4}, 0, 0, 1, 1)
	bad := op(nil, whole, []int32{2}, []int32{1, 1}, x)
	bad.Err = "batch_indices has 2, want 0 to 1"
	empty := op(nil, whole, []int32{0}, []int32{0, 1}, x)
	empty.Err = "two sizes above 0"
	Run(t, []Case{
		op(nil, whole, []int32{0}, []int32{2, 3}, F32([]int{1, 1, 2, 3}, 0, 1, 2, 3, 4, 5)),
		op(nil, F32([]int{2, 4}, 0, 0, 1, 1, 1, 1, 0, 0), []int32{0, 1}, []int32{1, 5},
			F32([]int{2, 1, 1, 5}, 1.5, 2, 2.5, 3, 3.5, 13.5, 13, 12.5, 12, 11.5)), // turned round by its corners
		op(onnx.NewAttrs("mode", "nearest"), whole, []int32{0}, []int32{2, 2}, F32([]int{1, 1, 2, 2}, 0, 2, 3, 5)),
		op(onnx.NewAttrs("extrapolation_value", float32(-1)), F32([]int{1, 4}, 0, -0.5, 0, 0.5), []int32{0}, []int32{1, 3}, F32([]int{1, 1, 1, 3}, -1, 0, 1)),
		{Op: "CropAndResize", Domain: "com.microsoft", In: Vals(F64([]int{1, 1, 1, 2}, 1, 2), F64([]int{1, 4}, 0, 0, 1, 1), I32([]int{1}, 0), I32([]int{2}, 1, 3)), Want: Vals(F64([]int{1, 1, 1, 3}, 1, 1.5, 2))},
		bad, empty,
	})
}
