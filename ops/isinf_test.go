package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestIsInf(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x := F32([]int{4}, nan, inf, -inf, math.MaxFloat32)
	Run(t, []Case{
		{Op: "IsInf", In: Vals(x), Want: Vals(Of([]int{4}, false, true, true, false))},
		{Op: "IsInf", Opset: 10, Attrs: onnx.NewAttrs("detect_negative", 0), In: Vals(x), Want: Vals(Of([]int{4}, false, true, false, false))},
		{Op: "IsInf", Attrs: onnx.NewAttrs("detect_positive", 0), In: Vals(x), Want: Vals(Of([]int{4}, false, false, true, false))},
		{Op: "IsInf", In: Vals(F64([]int{2}, math.Inf(-1), 0)), Want: Vals(Of([]int{2}, true, false))},
		{Op: "IsInf", In: Vals(Of([]int{3}, tensor.F16Of(inf), tensor.F16Of(nan), tensor.F16Of(-inf))), Want: Vals(Of([]int{3}, true, false, true))},
		{Op: "IsInf", In: Vals(Of([]int{3}, tensor.BF16Of(inf), tensor.BF16Of(nan), tensor.BF16Of(-inf))), Want: Vals(Of([]int{3}, true, false, true))},
		{Op: "IsInf", In: Vals(Of([]int{3}, tensor.F8E5M2(0x7c), 0x7d, 0xfc)), Want: Vals(Of([]int{3}, true, false, true))},
		{Op: "IsInf", In: Vals(Of([]int{2}, tensor.F8E4M3FN(0x7f), 0x7e)), Want: Vals(Of([]int{2}, false, false))},
		{Op: "IsInf", In: Vals(I32([]int{1}, 1)), Want: Vals(x), Err: "not supported"},
	})
}
