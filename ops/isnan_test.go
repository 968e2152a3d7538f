package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestIsNaN(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	want := Of([]int{2, 2}, true, false, false, false)
	Run(t, []Case{
		{Op: "IsNaN", In: Vals(F32([]int{2, 2}, nan, inf, -inf, 1)), Want: Vals(want)},
		{Op: "IsNaN", Opset: 9, In: Vals(F64([]int{2, 2}, math.NaN(), math.Inf(1), math.Inf(-1), 1)), Want: Vals(want)},
		{Op: "IsNaN", In: Vals(Of([]int{2, 2}, tensor.F16Of(nan), tensor.F16Of(inf), tensor.F16Of(-inf), tensor.F16Of(1))), Want: Vals(want)},
		{Op: "IsNaN", In: Vals(Of([]int{2, 2}, tensor.BF16Of(nan), tensor.BF16Of(inf), tensor.BF16Of(-inf), tensor.BF16Of(1))), Want: Vals(want)},
		{Op: "IsNaN", In: Vals(Of([]int{2, 2}, tensor.F8E4M3FN(0xff), 0x7e, 0x80, 0)), Want: Vals(want)},
		{Op: "IsNaN", In: Vals(Of([]int{2, 2}, tensor.F8E4M3FNUZ(0x80), 0x7f, 0xff, 0)), Want: Vals(want)},
		{Op: "IsNaN", In: Vals(Of([]int{2, 2}, tensor.F8E5M2(0xfe), 0x7c, 0xfc, 0)), Want: Vals(want)},
		{Op: "IsNaN", In: Vals(Of([]int{2, 2}, tensor.F8E5M2FNUZ(0x80), 0x7f, 0xff, 0)), Want: Vals(want)},
		{Op: "IsNaN", In: Vals(F32([]int{0})), Want: Vals(Of([]int{0}, []bool{}...))},
		{Op: "IsNaN", In: Vals(I32([]int{1}, 1)), Want: Vals(want), Err: "not supported"},
	})
}
