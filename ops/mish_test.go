package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMish(t *testing.T) {
	f := func(x float64) float64 { return x * math.Tanh(math.Log1p(math.Exp(x))) }
	v := []float64{0, -0.5, 0.25, 1, -1, 3.5, -7, 20, 100, math.NaN()}
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
		{Op: "Mish", In: Vals(x), Want: Vals(want), Tol: tensor.Tolerance{Rel: 1e-6, Abs: 1e-9}},
		{Op: "Mish", In: Vals(F64([]int{len(v)}, v...)), Want: Vals(F64([]int{len(v)}, w64...)), Tol: tensor.Tolerance{Rel: 1e-12, Abs: 1e-12}},
		{Op: "Mish", In: Vals(Of([]int{len(v)}, x16...)), Want: Vals(Of([]int{len(v)}, w16...)), Tol: tensor.Tolerance{Rel: 2e-3, Abs: 1e-6}},
		{Op: "Mish", In: Vals(F32([]int{0, 3})), Want: Vals(F32([]int{0, 3}))},
		{Op: "Mish", In: Vals(F32([]int{}, x32[0])), Want: Vals(F32([]int{}, w32[0])), Tol: tensor.Tolerance{Rel: 1e-6, Abs: 1e-9}},
		{Op: "Mish", In: Vals(Of([]int{1}, "a")), Want: Vals(x), Err: "not supported"},
	})
	_ = math.Pi
}

func TestMishGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Mish", In: Vals(Normal(1, 3, 4))},
	})
}
