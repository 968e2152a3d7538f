package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestGlobalAveragePool(t *testing.T) {
	Run(t, []Case{
		{Op: "GlobalAveragePool", In: Vals(F32([]int{1, 2, 1, 3}, 1, 2, 6, -1, 0, 4)), Want: Vals(F32([]int{1, 2, 1, 1}, 3, 1))},
		{Op: "GlobalAveragePool", Opset: 1, In: Vals(F64([]int{2, 1, 5}, 1, 2, 3, 4, 5, 0, 0, 0, 0, 1)), Want: Vals(F64([]int{2, 1, 1}, 3, 0.2))},
		{Op: "GlobalAveragePool", In: Vals(F32([]int{1, 2}, 1, 2)), Want: Vals(F32([]int{1, 2}, 1, 2))},
		{Op: "GlobalAveragePool", In: Vals(F32([]int{0, 2, 3})), Want: Vals(F32([]int{0, 2, 1}))},
		{Op: "GlobalAveragePool", In: Vals(F32([]int{2}, 1, 2)), Want: Vals(F32([]int{1}, 1)), Err: "want [n c d…]"},
		{Op: "GlobalAveragePool", In: Vals(F32([]int{1, 1, 0})), Want: Vals(F32([]int{1}, 1)), Err: "want elements to pool"},
	})
}

func TestGlobalAveragePoolGradient(t *testing.T) {
	Gradients(t, []GradCase{{Op: "GlobalAveragePool", In: Vals(Normal(1, 2, 3, 4, 5))}, {Op: "GlobalAveragePool", In: Vals(Normal(1, 2, 3, 4))}})
}
