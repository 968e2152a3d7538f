package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXMaxPoolGrad(t *testing.T) {
	dy, x := F32([]int{1, 1, 1, 2}, 1, 10), F32([]int{1, 1, 2, 3}, 0, 0, 0, 0, 0, 0)
	at := func(i ...int64) *tensor.Tensor { return I64([]int{1, 1, 1, 2}, i...) }
	Run(t, []Case{
		{Domain: "x", Op: "MaxPoolGrad", Opset: 1, In: Vals(dy, at(1, 5), x), Want: Vals(F32([]int{1, 1, 2, 3}, 0, 1, 0, 0, 0, 10))},
		{Domain: "x", Op: "MaxPoolGrad", Opset: 1, In: Vals(dy, at(1, 1), x), Want: Vals(F32([]int{1, 1, 2, 3}, 0, 11, 0, 0, 0, 0))},
		{Domain: "x", Op: "MaxPoolGrad", Opset: 1, Attrs: onnx.NewAttrs("storage_order", 1), In: Vals(dy, at(1, 4), x), Want: Vals(F32([]int{1, 1, 2, 3}, 0, 0, 10, 1, 0, 0))},
		{Domain: "x", Op: "MaxPoolGrad", Opset: 1, In: Vals(F64([]int{1, 1, 1}, 3), I64([]int{1, 1, 1}, 1), F64([]int{1, 1, 2}, 0, 0)), Want: Vals(F64([]int{1, 1, 2}, 0, 3))},
		{Domain: "x", Op: "MaxPoolGrad", Opset: 1, In: Vals(Of([]int{1, 1, 1}, tensor.F16Of(3)), I64([]int{1, 1, 1}, 1), F32([]int{1, 1, 2}, 0, 0)), Want: Vals(Of([]int{1, 1, 2}, tensor.F16Of(0), tensor.F16Of(3)))},
		{Domain: "x", Op: "MaxPoolGrad", Opset: 1, In: Vals(dy, at(1, 6), x), Want: Vals(x), Err: "Indices lie beyond"},
		{Domain: "x", Op: "MaxPoolGrad", Opset: 1, In: Vals(dy, at(1, -1), x), Want: Vals(x), Err: "Indices lie beyond"},
		{Domain: "x", Op: "MaxPoolGrad", Opset: 1, In: Vals(dy, I64([]int{1, 1, 1, 1}, 0), x), Want: Vals(x), Err: "dY has shape"},
	})
}
