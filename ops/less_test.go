package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestLess(t *testing.T) {
	want := Of([]int{2, 3}, false, true, false, false, true, true)
	h := func(v ...float32) []tensor.BF16 {
		out := make([]tensor.BF16, len(v))
		for i, x := range v {
			out[i] = tensor.BF16Of(x)
		}
		return out
	}
	Run(t, []Case{
		{Op: "Less", In: Vals(F32([]int{2, 3}, 1, 2, 3, 3, 2, 1), F32([]int{3}, 1, 3, 2)), Want: Vals(want)},
		{Op: "Less", In: Vals(I64([]int{2, 3}, 1, 2, 3, 3, 2, 1), I64([]int{3}, 1, 3, 2)), Want: Vals(want)},
		{Op: "Less", In: Vals(Of([]int{2, 3}, uint16(1), 2, 3, 3, 2, 1), Of([]int{3}, uint16(1), 3, 2)), Want: Vals(want)},
		{Op: "Less", In: Vals(Of([]int{2, 3}, h(1, 2, 3, 3, 2, 1)...), Of([]int{3}, h(1, 3, 2)...)), Want: Vals(want)},
		{Op: "Less", In: Vals(F32([]int{2, 3}, 1, 2, 3, 3, 2, 1), F32([]int{1}, float32(math.NaN()))), Want: Vals(Of([]int{2, 3}, false, false, false, false, false, false))},
		{Op: "Less", In: Vals(I32([]int{}, 2), I32([]int{3}, 1, 3, 2)), Want: Vals(Of([]int{3}, false, true, false))},
		{Op: "Less", In: Vals(I32([]int{0}), I32([]int{1}, 1)), Want: Vals(Of([]int{0}, []bool{}...))},
		{Op: "Less", In: Vals(Of([]int{1}, complex64(1)), Of([]int{1}, complex64(1))), Want: Vals(want), Err: "not supported"},
		{Op: "Less", Opset: 1, Attrs: onnx.NewAttrs("broadcast", 1), In: Vals(I32([]int{2, 3}, 1, 2, 3, 3, 2, 1), I32([]int{3}, 1, 3, 2)), Want: Vals(want)},
		{Op: "Less", Opset: 1, In: Vals(F32([]int{2, 3}, 1, 2, 3, 3, 2, 1), F32([]int{3}, 1, 3, 2)), Want: Vals(want), Err: "broadcast is 0"},
	})
}
