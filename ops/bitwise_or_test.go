package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestBitwiseOr(t *testing.T) {
	Run(t, []Case{
		{Op: "BitwiseOr", In: Vals(I32([]int{3}, 12, -1, 5), I32([]int{3}, 10, 7, 0)), Want: Vals(I32([]int{3}, 14, -1, 5))},
		{Op: "BitwiseOr", In: Vals(Of([]int{2, 1}, uint8(12), 200), Of([]int{2}, uint8(10), 255)), Want: Vals(Of([]int{2, 2}, uint8(14), 255, 202, 255))},
		{Op: "BitwiseOr", In: Vals(I64([]int{}, 6), I64([]int{1, 2}, 3, 5)), Want: Vals(I64([]int{1, 2}, 7, 7))},
		{Op: "BitwiseOr", In: Vals(F32([]int{1}, 1), F32([]int{1}, 1)), Want: Vals(F32([]int{1}, 1)), Err: "not supported"},
	})
}
