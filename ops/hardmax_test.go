package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestHardmax(t *testing.T) {
	Run(t, softmaxCases("Hardmax", func(x []float64) []float64 {
		y := make([]float64, len(x))
		best := 0
		for i := range x {
			if x[i] > x[best] {
				best = i
			}
		}
		if len(x) > 0 {
			y[best] = 1
		}
		return y
	}))
	Run(t, []Case{
		{Op: "Hardmax", In: Vals(F32([]int{4}, 1, 3, 3, 2)), Want: Vals(F32([]int{4}, 0, 1, 0, 0))},
		{Op: "Hardmax", In: Vals(F32([]int{3}, 1, float32(math.NaN()), 3)), Want: Vals(F32([]int{3}, 0, 1, 0))},
	})
}

func TestHardmaxGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Hardmax", In: Vals(Distinct(1, -2, 0.3, 3, 4)), Flat: []int{0}},
	})
}
