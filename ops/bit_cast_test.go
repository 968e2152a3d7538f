package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestBitCast(t *testing.T) {
	Run(t, []Case{
		{Op: "BitCast", Attrs: to(tensor.Int32), In: Vals(F32([]int{2}, 1, -2)), Want: Vals(I32([]int{2}, 0x3f800000, -0x40000000))},
		{Op: "BitCast", Attrs: to(tensor.Float64), In: Vals(I64([]int{}, 0x3ff0000000000000)), Want: Vals(F64([]int{}, 1))},
		{Op: "BitCast", Attrs: to(tensor.Uint8), In: Vals(Of([]int{2}, true, false)), Want: Vals(Of([]int{2}, uint8(1), 0))},
		{Op: "BitCast", Attrs: to(tensor.Bool), In: Vals(Of([]int{3}, uint8(1), 0, 7)), Want: Vals(Of([]int{3}, true, false, true))},
		{Op: "BitCast", Attrs: to(tensor.Uint4), In: Vals(packed(tensor.Int4, 15, 8, 1)), Want: Vals(packed(tensor.Uint4, 15, 8, 1))},
		{Op: "BitCast", Attrs: to(tensor.Float16), In: Vals(Of([]int{1}, tensor.BF16(7))), Want: Vals(Of([]int{1}, tensor.F16(7)))},
		{Op: "BitCast", Attrs: to(tensor.Int64), In: Vals(F32([]int{2}, 1, -2)), Want: Vals(I64([]int{1}, 0)), Err: "want a type of as many bits as int64"},
		{Op: "BitCast", In: Vals(F32([]int{2}, 1, -2)), Want: Vals(I64([]int{1}, 0)), Err: "\"to\" is missing"},
	})
}
