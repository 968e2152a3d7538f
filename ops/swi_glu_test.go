package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestSwiGLU(t *testing.T) {
	f := func(a, b, alpha float64) float64 { return a / (1 + math.Exp(-alpha*a)) * b }
	a, b := F32([]int{2, 2}, 1, -2, 0, 3), F32([]int{2, 2}, 2, 3, 4, -5)
	tol := tensor.Tolerance{Rel: 1e-6, Abs: 1e-9}
	Run(t, []Case{
		{Op: "SwiGLU", In: Vals(a, b), Want: Vals(F32([]int{2, 2}, float32(f(1, 2, 1)), float32(f(-2, 3, 1)), 0, float32(f(3, -5, 1)))), Tol: tol},
		{Op: "SwiGLU", Attrs: onnx.NewAttrs("alpha", 0.5), In: Vals(F64([]int{2}, 1, -2), F64([]int{2}, 2, 3)), Want: Vals(F64([]int{2}, f(1, 2, 0.5), f(-2, 3, 0.5))), Tol: tol},
		{Op: "SwiGLU", In: Vals(Of([]int{1}, tensor.F16Of(1)), Of([]int{1}, tensor.F16Of(2))), Want: Vals(Of([]int{1}, tensor.F16Of(float32(f(1, 2, 1)))))},
		{Op: "SwiGLU", In: Vals(F32([]int{0}), F32([]int{0})), Want: Vals(F32([]int{0}))},
		{Op: "SwiGLU", In: Vals(a, F32([]int{2}, 1, 2)), Want: Vals(a), Err: "B has shape [2], want A's shape [2 2]"},
	})
}
