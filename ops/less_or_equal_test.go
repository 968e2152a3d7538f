package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestLessOrEqual(t *testing.T) {
	want := Of([]int{2, 3}, true, true, false, false, true, true)
	h := func(v ...float32) []tensor.BF16 {
		out := make([]tensor.BF16, len(v))
		for i, x := range v {
			out[i] = tensor.BF16Of(x)
		}
		return out
	}
	Run(t, []Case{
		{Op: "LessOrEqual", In: Vals(F32([]int{2, 3}, 1, 2, 3, 3, 2, 1), F32([]int{3}, 1, 3, 2)), Want: Vals(want)},
		{Op: "LessOrEqual", In: Vals(I64([]int{2, 3}, 1, 2, 3, 3, 2, 1), I64([]int{3}, 1, 3, 2)), Want: Vals(want)},
		{Op: "LessOrEqual", In: Vals(Of([]int{2, 3}, uint16(1), 2, 3, 3, 2, 1), Of([]int{3}, uint16(1), 3, 2)), Want: Vals(want)},
		{Op: "LessOrEqual", In: Vals(Of([]int{2, 3}, h(1, 2, 3, 3, 2, 1)...), Of([]int{3}, h(1, 3, 2)...)), Want: Vals(want)},
		{Op: "LessOrEqual", In: Vals(F32([]int{2, 3}, 1, 2, 3, 3, 2, 1), F32([]int{1}, float32(math.NaN()))), Want: Vals(Of([]int{2, 3}, false, false, false, false, false, false))},
		{Op: "LessOrEqual", In: Vals(I32([]int{}, 2), I32([]int{3}, 1, 3, 2)), Want: Vals(Of([]int{3}, false, true, true))},
		{Op: "LessOrEqual", In: Vals(I32([]int{0}), I32([]int{1}, 1)), Want: Vals(Of([]int{0}, []bool{}...))},
		{Op: "LessOrEqual", In: Vals(Of([]int{1}, complex64(1)), Of([]int{1}, complex64(1))), Want: Vals(want), Err: "not supported"},
	})
}
