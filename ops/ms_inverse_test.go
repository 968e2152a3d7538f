package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestInverse(t *testing.T) {
	half := tensor.New(tensor.Float16, 1, 1)
	tensor.Data[tensor.F16](half)[0] = tensor.F16Of(4)
	quarter := tensor.New(tensor.Float16, 1, 1)
	tensor.Data[tensor.F16](quarter)[0] = tensor.F16Of(0.25)
	inf := math.Inf(1)
	Run(t, []Case{
		{Op: "Inverse", Domain: "com.microsoft", In: Vals(F32([]int{2, 2, 2}, 4, 7, 2, 6, 0, 2, 1, 0)), // the second wants its rows swapped
			Want: Vals(F32([]int{2, 2, 2}, 0.6, -0.7, -0.2, 0.4, 0, 1, 0.5, 0)), Tol: close5},
		{Op: "Inverse", Domain: "com.microsoft", In: Vals(F64([]int{3, 3}, 2, 0, 0, 0, 4, 0, 1, 0, 1)), Want: Vals(F64([]int{3, 3}, 0.5, 0, 0, 0, 0.25, 0, -0.5, 0, 1)), Tol: close5},
		{Op: "Inverse", Domain: "com.microsoft", In: Vals(half), Want: Vals(quarter)},
		{Op: "Inverse", Domain: "com.microsoft", In: Vals(F64([]int{1, 1}, 0)), Want: Vals(F64([]int{1, 1}, inf))},
		{Op: "Inverse", Domain: "com.microsoft", In: Vals(F32([]int{0, 2, 2})), Want: Vals(F32([]int{0, 2, 2}))},
		{Op: "Inverse", Domain: "com.microsoft", In: Vals(F32([]int{1, 2}, 1, 2)), Want: Vals(F32([]int{1, 2}, 1, 2)), Err: "want square matrices"},
	})
}

func TestInverseGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Inverse", Domain: "com.microsoft", In: Vals(F64([]int{2, 2, 2}, 4, 7, 2, 6, 1, 2, -1, 3))},
		{Op: "Inverse", Domain: "com.microsoft", In: Vals(F64([]int{3, 3}, 2, 0, 1, 0, 4, 0, 1, 0, 3))},
	})
}
