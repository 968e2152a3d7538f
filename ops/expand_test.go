package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestExpand(t *testing.T) {
	x := F32([]int{2, 1}, 1, 2)
	Run(t, []Case{
		{Op: "Expand", In: Vals(x, I64(nil, 3)), Want: Vals(F32([]int{2, 3}, 1, 1, 1, 2, 2, 2))},
		{Op: "Expand", Opset: 8, In: Vals(x, I64(nil, 2, 1, 2)), Want: Vals(F32([]int{2, 2, 2}, 1, 1, 2, 2, 1, 1, 2, 2))},
		{Op: "Expand", In: Vals(x, I64(nil, 1, 1)), Want: Vals(x)},
		{Op: "Expand", In: Vals(x, I64([]int{0})), Want: Vals(x)},
		{Op: "Expand", In: Vals(x, I64(nil, 0)), Want: Vals(F32([]int{2, 0}))},
		{Op: "Expand", In: Vals(Of([]int{}, "a"), I64(nil, 2)), Want: Vals(Of([]int{2}, "a", "a"))},
		{Op: "Expand", In: Vals(I64(nil, 4), I64(nil, 3)), Want: Vals(I64(nil, 4, 4, 4))},
		{Op: "Expand", In: Vals(x, I64(nil, 3, 1)), Want: Vals(x), Err: "2"},
	})
	Run(t, []Case{{Op: "Expand", In: Vals(x, I64(nil, 1<<62, 1, 1<<62)), Want: Vals(x), Err: "overflow", Const: []int{}}})
}

func TestExpandGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Expand", In: Vals(Normal(1, 3, 1), I64([]int{3}, 2, 1, 4))},
		{Op: "Expand", In: Vals(Normal(1), I64([]int{1}, 4))},
	})
}
