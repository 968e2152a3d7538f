package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestBitwiseAnd(t *testing.T) {
	Run(t, []Case{
		{Op: "BitwiseAnd", In: Vals(I32([]int{3}, 12, -1, 5), I32([]int{3}, 10, 7, 0)), Want: Vals(I32([]int{3}, 8, 7, 0))},
		{Op: "BitwiseAnd", In: Vals(Of([]int{2, 1}, uint8(12), 200), Of([]int{2}, uint8(10), 255)), Want: Vals(Of([]int{2, 2}, uint8(8), 12, 8, 200))},
		{Op: "BitwiseAnd", In: Vals(I64([]int{}, 6), I64([]int{1, 2}, 3, 5)), Want: Vals(I64([]int{1, 2}, 2, 4))},
		{Op: "BitwiseAnd", In: Vals(F32([]int{1}, 1), F32([]int{1}, 1)), Want: Vals(F32([]int{1}, 1)), Err: "not supported"},
	})
}
