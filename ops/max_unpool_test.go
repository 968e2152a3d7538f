package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMaxUnpool(t *testing.T) {
	x, i := F32([]int{1, 1, 2, 2}, 5, 6, 7, 8), I64([]int{1, 1, 2, 2}, 5, 7, 13, 15)
	at := onnx.NewAttrs("kernel_shape", []int{2, 2}, "strides", []int{2, 2})
	Run(t, []Case{
		{Op: "MaxUnpool", Attrs: at, In: Vals(x, i), Want: Vals(F32([]int{1, 1, 4, 4}, 0, 0, 0, 0, 0, 5, 0, 6, 0, 0, 0, 0, 0, 7, 0, 8))},
		{Op: "MaxUnpool", Opset: 9, Attrs: at, In: Vals(x, i, I64([]int{4}, 1, 1, 5, 5)),
			Want: Vals(F32([]int{1, 1, 5, 5}, 0, 0, 0, 0, 0, 0, 5, 0, 6, 0, 0, 0, 0, 0, 0, 0, 7, 0, 8, 0, 0, 0, 0, 0, 0))},
		{Op: "MaxUnpool", Attrs: onnx.NewAttrs("kernel_shape", []int{2}, "pads", []int{1, 0}), In: Vals(F64([]int{1, 1, 2}, 1, 2), I64([]int{1, 1, 2}, 1, 0)), Want: Vals(F64([]int{1, 1, 2}, 2, 1))},
		{Op: "MaxUnpool", Attrs: at, In: Vals(x, I64([]int{1, 1, 2, 2}, 5, 7, 13, 16)), Want: Vals(x), Err: "I has 16 at 3"},
		{Op: "MaxUnpool", Attrs: at, In: Vals(x, I64([]int{1, 1, 1, 4}, 5, 7, 13, 15)), Want: Vals(x), Err: "the same shape"},
		{Op: "MaxUnpool", Attrs: at, In: Vals(x, i, I64([]int{4}, 1, 1, 3, 5)), Want: Vals(x), Err: "want at least [1 1 4 4]"},
	})
}

func TestMaxUnpoolGradient(t *testing.T) {
	as := onnx.NewAttrs("kernel_shape", []int{2, 2}, "strides", []int{2, 2})
	at := I64([]int{1, 1, 2, 2}, 5, 2, 8, 15)
	Gradients(t, []GradCase{
		{Op: "MaxUnpool", Attrs: as, In: Vals(Normal(1, 1, 1, 2, 2), at)},
		{Op: "MaxUnpool", Attrs: as, In: Vals(Normal(1, 1, 1, 2, 2), at, I64([]int{4}, 1, 2, 4, 6))},
		{Op: "MaxUnpool", Name: "one place twice", Attrs: as, In: Vals(Normal(1, 1, 1, 2, 2), I64([]int{1, 1, 2, 2}, 5, 5, 8, 5))},
	})
}
