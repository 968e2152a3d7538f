package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestDeformConv(t *testing.T) {
	at := onnx.NewAttrs
	x, w := count(1, 1, 3, 3), ones(1, 1, 2, 2)
	zero := make([]float32, 32)
	// The example of the specification: the first tap looks half an element further down.
	moved := append([]float32(nil), zero...)
	moved[0] = 0.5
	Run(t, []Case{
		{Name: "no offset", Op: "DeformConv", In: Vals(x, w, F32([]int{1, 8, 2, 2}, zero...)), Want: Vals(F32([]int{1, 1, 2, 2}, 8, 12, 20, 24))},
		{Name: "half down", Op: "DeformConv", Opset: 19, In: Vals(x, w, F32([]int{1, 8, 2, 2}, moved...)), Want: Vals(F32([]int{1, 1, 2, 2}, 9.5, 12, 20, 24))},
		{Name: "bias and mask", Op: "DeformConv", In: Vals(x, w, F32([]int{1, 8, 2, 2}, moved...), F32([]int{1}, 1), F32([]int{1, 4, 2, 2}, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0)),
			Want: Vals(F32([]int{1, 1, 2, 2}, 12, 13, 21, 17))},
		{Name: "one dimension, outside", Op: "DeformConv", In: Vals(F32([]int{1, 2, 3}, 1, 2, 3, 10, 20, 30), ones(1, 2, 1), F32([]int{1, 2, 3}, -0.5, 0, 0.5, -1, 0.25, 9)), Attrs: at("offset_group", 2),
			Want: Vals(F32([]int{1, 1, 3}, 0.5, 2+22.5, 1.5))},
		{Name: "groups", Op: "DeformConv", In: Vals(F32([]int{1, 2, 2}, 1, 2, 10, 20), F32([]int{2, 1, 1}, 2, 3), F32([]int{1, 1, 2}, 0, -1)), Attrs: at("group", 2),
			Want: Vals(F32([]int{1, 2, 2}, 2, 2, 30, 30))},
		{Name: "pads", Op: "DeformConv", Attrs: at("pads", []int{1, 0}, "kernel_shape", []int{2}), In: Vals(F64([]int{1, 1, 2}, 1, 2), F64([]int{1, 1, 2}, 1, 1), F64([]int{1, 2, 2}, 0, 0, 0, 0)), Want: Vals(F64([]int{1, 1, 2}, 1, 3))},
		{Op: "DeformConv", In: Vals(x, w, F32([]int{1, 4, 2, 4}, zero...)), Want: Vals(x), Err: "offset has shape [1 4 2 4], want [1 8 2 2]"},
		{Op: "DeformConv", Attrs: at("offset_group", 2), In: Vals(x, w, F32([]int{1, 8, 2, 2}, zero...)), Want: Vals(x), Err: "2 groups of offsets"},
	})
}
