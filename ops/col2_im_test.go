package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestCol2Im(t *testing.T) {
	at := onnx.NewAttrs
	// Blocks of 2 at the positions 0 and 1 of an image of 3.
	x := F32([]int{1, 2, 2}, 1, 2, 10, 20)
	Run(t, []Case{
		{Op: "Col2Im", In: Vals(x, I64([]int{1}, 3), I64([]int{1}, 2)), Want: Vals(F32([]int{1, 1, 3}, 1, 12, 20))},
		{Op: "Col2Im", Attrs: at("pads", []int{1, 0}), In: Vals(x, I64([]int{1}, 2), I64([]int{1}, 2)), Want: Vals(F32([]int{1, 1, 2}, 12, 20))},
		{Op: "Col2Im", Attrs: at("strides", []int{2}), In: Vals(x, I64([]int{1}, 4), I64([]int{1}, 2)), Want: Vals(F32([]int{1, 1, 4}, 1, 10, 2, 20))},
		{Op: "Col2Im", Attrs: at("dilations", []int{2}), In: Vals(x, I64([]int{1}, 4), I64([]int{1}, 2)), Want: Vals(F32([]int{1, 1, 4}, 1, 2, 10, 20))},
		{Op: "Col2Im", In: Vals(I32([]int{2, 4, 1}, 1, 2, 3, 4, 5, 6, 7, 8), I64([]int{2}, 2, 2), I64([]int{2}, 2, 2)), Want: Vals(I32([]int{2, 1, 2, 2}, 1, 2, 3, 4, 5, 6, 7, 8))},
		{Op: "Col2Im", In: Vals(Of([]int{1, 2, 1}, complex64(1i), complex64(2)), I64([]int{1}, 1), I64([]int{1}, 1)), Want: Vals(Of([]int{1, 2, 1}, complex64(1i), complex64(2)))},
		{Op: "Col2Im", In: Vals(x, I64([]int{1}, 5), I64([]int{1}, 2)), Want: Vals(x), Err: "want [n, c*2, 4]"},
		{Op: "Col2Im", In: Vals(x, I64([]int{1}, 3), I64([]int{1}, 0)), Want: Vals(x), Err: "block_shape is [0]"},
		{Op: "Col2Im", In: Vals(x, I64([]int{1}, 1), I64([]int{1}, 2)), Want: Vals(x), Err: "smaller than the kernel"},
	})
}

func TestCol2ImGradient(t *testing.T) {
	at := onnx.NewAttrs
	Gradients(t, []GradCase{
		{Op: "Col2Im", In: Vals(Normal(1, 2, 6, 4), I64([]int{1}, 5), I64([]int{1}, 2))},
		{Op: "Col2Im", Attrs: at("pads", []int{1, 0, 1, 2}, "strides", []int{2, 1}, "dilations", []int{1, 2}), In: Vals(Normal(1, 2, 12, 10), I64([]int{2}, 4, 5), I64([]int{2}, 3, 2))},
		{Op: "Col2Im", In: Vals(Normal(1, 0, 6, 4), I64([]int{1}, 5), I64([]int{1}, 2))},
		{Op: "Col2Im", In: Vals(Normal(1, 1, 16, 8), I64([]int{3}, 3, 3, 3), I64([]int{3}, 2, 2, 2))},
	})
}
