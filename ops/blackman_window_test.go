package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestBlackmanWindow(t *testing.T) {
	Run(t, []Case{
		{Op: "BlackmanWindow", In: Vals(I64([]int{}, 4)), Want: Vals(F32([]int{4}, 0, 0.34, 1, 0.34))},
		{Op: "BlackmanWindow", In: Vals(I32([]int{}, 5)), Attrs: onnx.NewAttrs("periodic", 0, "output_datatype", tensor.Float64), Want: Vals(F64([]int{5}, 0, 0.34, 1, 0.34, 0))},
		{Op: "BlackmanWindow", In: Vals(I64([]int{}, 0)), Want: Vals(F32([]int{0}))},
		{Op: "BlackmanWindow", In: Vals(I64([]int{}, 1)), Attrs: onnx.NewAttrs("output_datatype", tensor.Int32), Want: Vals(I32([]int{1}, 0))},
		{Op: "BlackmanWindow", In: Vals(I64([]int{}, 4)), Attrs: onnx.NewAttrs("output_datatype", tensor.Int32), Want: Vals(I32([]int{4}, 0, 0, 1, 0))},
		{Op: "BlackmanWindow", In: Vals(I64([]int{}, -1)), Want: Vals(F32([]int{0})), Err: "size is -1"},
		{Op: "BlackmanWindow", In: Vals(I64([]int{}, 1)), Attrs: onnx.NewAttrs("output_datatype", tensor.String), Want: Vals(F32([]int{0})), Err: "not supported"},
	})
}
