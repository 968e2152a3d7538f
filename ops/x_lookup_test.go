package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestLookup(t *testing.T) {
	up, down := make([]uint8, 256), make([]int8, 256)
	for i := range up {
		up[i], down[i] = uint8(i+1), int8(-i)
	}
	x, s := Of([]int{2, 2}, uint8(0), uint8(7), uint8(200), uint8(255)), Of([]int{3}, int8(-1), int8(0), int8(5))
	Run(t, []Case{
		{Domain: "x", Op: "Lookup", In: Vals(x, tensor.Of(up)), Want: Vals(Of([]int{2, 2}, uint8(1), uint8(8), uint8(201), uint8(0)))},
		{Domain: "x", Op: "Lookup", In: Vals(s, tensor.Of(down)), Want: Vals(Of([]int{3}, int8(1), int8(0), int8(-5)))},
		{Domain: "x", Op: "Lookup", In: Vals(s, tensor.Of(up)), Want: Vals(Of([]int{3}, uint8(0), uint8(1), uint8(6)))},
		{Domain: "x", Op: "Lookup", In: Vals(x, s), Want: Vals(x), Err: "T has shape [3], want [256]"},
		{Domain: "x", Op: "Lookup", In: Vals(F32([]int{1}, 1), tensor.Of(up)), Want: Vals(x), Err: "X"},
	})
}
