package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestBitwiseNot(t *testing.T) {
	Run(t, []Case{
		{Op: "BitwiseNot", In: Vals(I32([]int{3}, -5, 0, 7)), Want: Vals(I32([]int{3}, 4, -1, -8))},
		{Op: "BitwiseNot", In: Vals(Of([]int{2, 1}, uint8(0), uint8(0x5a))), Want: Vals(Of([]int{2, 1}, uint8(0xff), uint8(0xa5)))},
		{Op: "BitwiseNot", In: Vals(Of([]int{}, uint64(1))), Want: Vals(Of([]int{}, uint64(1<<64-2)))},
		{Op: "BitwiseNot", In: Vals(Of([]int{0}, []int16{}...)), Want: Vals(Of([]int{0}, []int16{}...))},
		{Op: "BitwiseNot", In: Vals(F32([]int{1}, 1)), Want: Vals(F32([]int{1}, 1)), Err: "not supported"},
	})
}
