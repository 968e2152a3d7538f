package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXQuantizeLinearGrad(t *testing.T) {
	x, d := F32([]int{2, 3}, -1, 0, 3, 127.4, 127.6, -9), F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	Run(t, []Case{
		{Domain: "x", Op: "QuantizeLinearGrad", Opset: 1, In: Vals(x, F32([]int{}, 1), nil, d), Want: Vals(F32([]int{2, 3}, 0, 2, 3, 4, 5, 0))},
		{Domain: "x", Op: "QuantizeLinearGrad", Opset: 1, In: Vals(x, F32([]int{}, 1), Of([]int{}, int8(0)), d), Want: Vals(F32([]int{2, 3}, 1, 2, 3, 4, 0, 6))},
		{Domain: "x", Op: "QuantizeLinearGrad", Opset: 1, In: Vals(x, F32([]int{}, 1), Of([]int{}, int8(-120)), d), Want: Vals(F32([]int{2, 3}, 1, 2, 3, 4, 5, 0))},
		{Domain: "x", Op: "QuantizeLinearGrad", Opset: 1, Attrs: onnx.NewAttrs("axis", 0), In: Vals(x, F32([]int{2}, 0.01, 1), Of([]int{2}, int8(0), int8(0)), d), Want: Vals(F32([]int{2, 3}, 1, 2, 0, 4, 0, 6))},
		{Domain: "x", Op: "QuantizeLinearGrad", Opset: 1, In: Vals(Of([]int{2}, tensor.F16Of(1), tensor.F16Of(-1)), Of([]int{}, tensor.F16Of(1)), nil, Of([]int{2}, tensor.F16Of(3), tensor.F16Of(4))), Want: Vals(Of([]int{2}, tensor.F16Of(3), tensor.F16Of(0)))},
		{Domain: "x", Op: "QuantizeLinearGrad", Opset: 1, In: Vals(x, F32([]int{}, 1), nil, F32([]int{2}, 1, 2)), Want: Vals(x), Err: "of one type and shape"},
	})
}
