package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

// Against finite differences: TestDetGradient.
func TestXDetGrad(t *testing.T) {
	tol := tensor.Tolerance{Rel: 1e-12, Abs: 1e-12}
	Run(t, []Case{
		{Domain: "x", Op: "DetGrad", Opset: 1, In: Vals(F64([]int{2}, 2, 1), F64([]int{2, 2, 2}, 1, 2, 3, 4, 1, 2, 2, 4)), Want: Vals(F64([]int{2, 2, 2}, 8, -6, -4, 2, 4, -2, -2, 1)), Tol: tol},
		{Domain: "x", Op: "DetGrad", Opset: 1, In: Vals(F64([]int{}, 3), F64([]int{1, 1}, 0)), Want: Vals(F64([]int{1, 1}, 3)), Tol: tol},
		{Domain: "x", Op: "DetGrad", Opset: 1, In: Vals(F64([]int{}, 3), F64([]int{1, 2}, 0, 1)), Want: Vals(F64([]int{1, 1}, 3)), Err: "want square matrices"},
	})
}
