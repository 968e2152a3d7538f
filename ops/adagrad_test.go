package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestAdagrad(t *testing.T) {
	tol := tensor.Tolerance{Rel: 1e-6}
	r, n := F32([]int{}, 0.1), I64([]int{}, 2)
	as := onnx.NewAttrs("norm_coefficient", 0.5, "decay_factor", 0.25, "epsilon", 1e-3)
	f := func(x, g, h float64) (float32, float32) {
		g += 0.5 * x
		h += g * g
		return float32(x - 0.1/(1+2*0.25)*g/(math.Sqrt(h)+1e-3)), float32(h)
	}
	x1, h1 := f(1, -1, 2)
	x2, h2 := f(2, -3, 1)
	Run(t, []Case{
		{Domain: "ai.onnx.preview.training", Op: "Adagrad", Attrs: as, In: Vals(r, n, F32([]int{2}, 1, 2), F32([]int{2}, -1, -3), F32([]int{2}, 2, 1)),
			Want: Vals(F32([]int{2}, x1, x2), F32([]int{2}, h1, h2)), Tol: tol},
		{Domain: "ai.onnx.preview.training", Op: "Adagrad", Attrs: as, In: Vals(r, n, F32([]int{1}, 1), F32([]int{}, 2), F32([]int{1}, -1), F32([]int{}, -3), F32([]int{1}, 2), F32([]int{}, 1)),
			Want: Vals(F32([]int{1}, x1), F32([]int{}, x2), F32([]int{1}, h1), F32([]int{}, h2)), Tol: tol},
		{Domain: "ai.onnx.preview.training", Op: "Adagrad", In: Vals(r, n, F32([]int{1}, 1), F32([]int{1}, 2)), Want: Vals(r, r), Err: "want a multiple of 3"},
		{Domain: "ai.onnx.preview.training", Op: "Adagrad", In: Vals(r, n, F32([]int{1}, 1), F32([]int{2}, 2, 2), F32([]int{1}, 1)), Want: Vals(r, r), Err: "input 3 is float32 [2], want float32 [1]"},
	})
}
