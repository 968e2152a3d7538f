package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestGlobalMaxPool(t *testing.T) {
	Run(t, []Case{
		{Op: "GlobalMaxPool", In: Vals(F32([]int{1, 2, 1, 3}, 1, 2, 6, -1, -5, -4)), Want: Vals(F32([]int{1, 2, 1, 1}, 6, -1))},
		{Op: "GlobalMaxPool", Opset: 1, In: Vals(F64([]int{1, 1, 3}, 1, math.NaN(), 3)), Want: Vals(F64([]int{1, 1, 1}, math.NaN()))},
		{Op: "GlobalMaxPool", In: Vals(F32([]int{2}, 1, 2)), Want: Vals(F32([]int{1}, 1)), Err: "want [n c d…]"},
	})
}

func TestGlobalMaxPoolGradient(t *testing.T) {
	Gradients(t, []GradCase{{Op: "GlobalMaxPool", In: Vals(Distinct(1, -3, 0.1, 2, 3, 4, 2))}})
}
