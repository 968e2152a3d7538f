package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestAtan(t *testing.T) {
	f := func(x float64) float64 { return math.Atan(x) }
	v := []float64{0, -0.5, 0.25, 1, -1, 3.5, -7, 20, -30, 100, -100, math.Inf(1), math.Inf(-1), math.NaN()}
	x32, w32 := make([]float32, len(v)), make([]float32, len(v))
	x16, w16 := make([]tensor.F16, len(v)), make([]tensor.F16, len(v))
	w64 := make([]float64, len(v))
	for i, a := range v {
		x32[i], w32[i], w64[i] = float32(a), float32(f(float64(float32(a)))), f(a)
		x16[i] = tensor.F16Of(float32(a))
		w16[i] = tensor.F16Of(float32(f(float64(x16[i].Float32()))))
	}
	x, want := F32([]int{1, len(v)}, x32...), F32([]int{1, len(v)}, w32...)
	Run(t, []Case{
		{Op: "Atan", In: Vals(x), Want: Vals(want), Tol: tensor.Tolerance{Rel: 1e-6, Abs: 1e-9}},
		{Op: "Atan", In: Vals(F64([]int{len(v)}, v...)), Want: Vals(F64([]int{len(v)}, w64...)), Tol: tensor.Tolerance{Rel: 1e-12, Abs: 1e-12}},
		{Op: "Atan", In: Vals(Of([]int{len(v)}, x16...)), Want: Vals(Of([]int{len(v)}, w16...)), Tol: tensor.Tolerance{Rel: 2e-3, Abs: 1e-6}},
		{Op: "Atan", In: Vals(F32([]int{0, 3})), Want: Vals(F32([]int{0, 3}))},
		{Op: "Atan", In: Vals(F32([]int{}, x32[0])), Want: Vals(F32([]int{}, w32[0])), Tol: tensor.Tolerance{Rel: 1e-6, Abs: 1e-9}},
		{Op: "Atan", In: Vals(Of([]int{1}, "a")), Want: Vals(x), Err: "not supported"},
	})
	_ = math.Pi
}

func TestAtanGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Atan", In: Vals(Normal(1, 3, 4))},
	})
}
