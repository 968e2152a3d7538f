package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestBitShift(t *testing.T) {
	left, right := onnx.NewAttrs("direction", "LEFT"), onnx.NewAttrs("direction", "RIGHT")
	Run(t, []Case{
		{Op: "BitShift", Opset: 11, Attrs: right, In: Vals(Of([]int{3}, uint8(16), 4, 255), Of([]int{3}, uint8(1), 2, 9)), Want: Vals(Of([]int{3}, uint8(8), 1, 0))},
		{Op: "BitShift", Attrs: left, In: Vals(Of([]int{2, 1}, uint32(16), 4), Of([]int{2}, uint32(1), 31)), Want: Vals(Of([]int{2, 2}, uint32(32), 0, 8, 0))},
		{Op: "BitShift", Attrs: right, In: Vals(I32([]int{4}, -16, -16, 16, -1), I32([]int{4}, 2, -1, -1, 40)), Want: Vals(I32([]int{4}, -4, -1, 0, -1))},
		{Op: "BitShift", Attrs: left, In: Vals(Of([]int{3}, int8(-16), 1, 64), Of([]int{3}, int8(2), -1, 1)), Want: Vals(Of([]int{3}, int8(-64), 0, -128))},
		{Op: "BitShift", In: Vals(I32([]int{1}, 1), I32([]int{1}, 1)), Want: Vals(I32([]int{1}, 1)), Err: "direction"},
	})
}
