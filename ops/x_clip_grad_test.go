package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXClipGrad(t *testing.T) {
	inf := float32(math.Inf(1))
	d, x := F32([]int{5}, 1, inf, 3, 4, 5), F32([]int{5}, -2, -1.5, -1, 6, float32(math.NaN()))
	lo, hi := F32([]int{}, -1), F32([]int{1}, 6)
	Run(t, []Case{
		{Domain: "x", Op: "ClipGrad", Opset: 1, In: Vals(d, x, lo, hi), Want: Vals(F32([]int{5}, 0, 0, 3, 4, 5))},
		{Domain: "x", Op: "ClipGrad", Opset: 1, In: Vals(d, x, nil, F32([]int{}, -1.5)), Want: Vals(F32([]int{5}, 1, inf, 0, 0, 5))},
		{Domain: "x", Op: "ClipGrad", Opset: 1, In: Vals(d, x), Want: Vals(d)},
		{Domain: "x", Op: "ClipGrad", Opset: 1, In: Vals(F64([]int{2}, 1, 2), F64([]int{2}, 0, 2), F64([]int{}, 1)), Want: Vals(F64([]int{2}, 0, 2))},
		{Domain: "x", Op: "ClipGrad", Opset: 1, In: Vals(Of([]int{1}, tensor.F16Of(2)), Of([]int{1}, tensor.F16Of(3)), Of([]int{}, tensor.F16Of(1))), Want: Vals(Of([]int{1}, tensor.F16Of(2)))},
		{Domain: "x", Op: "ClipGrad", Opset: 1, In: Vals(d, F32([]int{1}, 1)), Want: Vals(d), Err: "want the same"},
		{Domain: "x", Op: "ClipGrad", Opset: 1, In: Vals(d, x, d), Want: Vals(d), Err: "want a scalar"},
	})
}
