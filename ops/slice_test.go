package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestSlice(t *testing.T) {
	x := I64([]int{2, 4}, 1, 2, 3, 4, 5, 6, 7, 8)
	v := I64(nil, 0, 1, 2, 3, 4)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Slice", In: Vals(x, I64(nil, 1, 0), I64(nil, 2, 3), I64(nil, 0, 1), I64(nil, 1, 2)), Want: Vals(I64([]int{1, 2}, 5, 7))},
		{Op: "Slice", In: Vals(x, I64(nil, 0, 1), I64(nil, -1, 1000)), Want: Vals(I64([]int{1, 3}, 2, 3, 4))},
		{Op: "Slice", Opset: 10, In: Vals(x, I32(nil, 1), I32(nil, 3), I32(nil, 1)), Want: Vals(I64([]int{2, 2}, 2, 3, 6, 7))},
		{Op: "Slice", In: Vals(v, I64(nil, -1), I64(nil, math.MinInt64), I64(nil, -1), I64(nil, -1)), Want: Vals(I64(nil, 4, 3, 2, 1, 0))},
		{Op: "Slice", In: Vals(v, I64(nil, 100), I64(nil, 0), I64(nil, 0), I64(nil, -2)), Want: Vals(I64(nil, 4, 2))},
		{Op: "Slice", In: Vals(v, I64(nil, -100), I64(nil, math.MaxInt64), nil, I64(nil, 3)), Want: Vals(I64(nil, 0, 3))},
		{Op: "Slice", In: Vals(v, I64(nil, 3), I64(nil, 1)), Want: Vals(I64([]int{0}))},
		{Op: "Slice", In: Vals(v, I64(nil, 1), I64(nil, 5), nil, I64(nil, math.MaxInt64)), Want: Vals(I64(nil, 1))},
		{Op: "Slice", In: Vals(v, I64(nil, 3), I64(nil, -9), nil, I64(nil, math.MinInt64)), Want: Vals(I64(nil, 3))},
		{Op: "Slice", In: Vals(v, I64(nil, 5), I64(nil, 9)), Want: Vals(I64([]int{0}))},
		{Op: "Slice", In: Vals(v, I64([]int{0}), I64([]int{0})), Want: Vals(v)},
		{Op: "Slice", In: Vals(F32([]int{0, 2}), I64(nil, 0), I64(nil, 1), I64(nil, 1)), Want: Vals(F32([]int{0, 1}))},
		{Op: "Slice", Opset: 1, Attrs: a("starts", []int{0, -3}, "ends", []int{1, -1}), In: Vals(x), Want: Vals(I64([]int{1, 2}, 2, 3))},
		{Op: "Slice", Opset: 1, Attrs: a("starts", []int{2}, "ends", []int{9}, "axes", []int{1}), In: Vals(x), Want: Vals(I64([]int{2, 2}, 3, 4, 7, 8))},
		{Op: "Slice", In: Vals(v, I64(nil, 0), I64(nil, 1), I64(nil, 0), I64(nil, 0)), Want: Vals(v), Err: "steps [0] has a 0"},
		{Op: "Slice", In: Vals(v, I64(nil, 0), I64(nil, 1), I64(nil, 1)), Want: Vals(v), Err: "axis 1 is not in [-1, 0]"},
		{Op: "Slice", In: Vals(v, I64(nil, 0, 0), I64(nil, 1)), Want: Vals(v), Err: "starts has 2 elements, ends 1"},
		{Op: "Slice", In: Vals(v, I64(nil, 0, 0), I64(nil, 1, 1)), Want: Vals(v), Err: "data has rank 1"},
	})
}

func TestSliceGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Slice", In: Vals(Normal(1, 4, 5), I64([]int{2}, 1, 0), I64([]int{2}, 3, 9))},
		{Op: "Slice", In: Vals(Normal(1, 4, 5), I64([]int{1}, -1), I64([]int{1}, -9), I64([]int{1}, 1), I64([]int{1}, -2))},
	})
}
