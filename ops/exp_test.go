package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestExp(t *testing.T) {
	f := func(x float64) float64 { return math.Exp(x) }
	v := []float64{0, -0.5, 0.25, 1, -1, 3.5, -7, math.Inf(1), math.Inf(-1), math.NaN()}
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
		{Op: "Exp", In: Vals(x), Want: Vals(want), Tol: tensor.Tolerance{Rel: 1e-6, Abs: 1e-9}},
		{Op: "Exp", In: Vals(F64([]int{len(v)}, v...)), Want: Vals(F64([]int{len(v)}, w64...)), Tol: tensor.Tolerance{Rel: 1e-12, Abs: 1e-12}},
		{Op: "Exp", In: Vals(Of([]int{len(v)}, x16...)), Want: Vals(Of([]int{len(v)}, w16...)), Tol: tensor.Tolerance{Rel: 2e-3, Abs: 1e-6}},
		{Op: "Exp", In: Vals(F32([]int{0, 3})), Want: Vals(F32([]int{0, 3}))},
		{Op: "Exp", In: Vals(F32([]int{}, x32[0])), Want: Vals(F32([]int{}, w32[0])), Tol: tensor.Tolerance{Rel: 1e-6, Abs: 1e-9}},
		{Op: "Exp", Opset: 1, Attrs: onnx.NewAttrs("consumed_inputs", []int{0}), In: Vals(x), Want: Vals(want)},
		{Op: "Exp", In: Vals(Of([]int{1}, "a")), Want: Vals(x), Err: "not supported"},
	})
	_ = math.Pi
}

func TestExpGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Exp", In: Vals(Normal(1, 2, 3))},
	})
}

// The largest exponentials of float64 are finite.
func TestExpLargest(t *testing.T) {
	Run(t, []Case{{
		Op: "Exp", In: Vals(F64([]int{4}, 709.2, 709.5, 709.78, 709.8)), Want: Vals(F64([]int{4}, 1.003798554122782e308, 1.3549863193146328e308, 1.7928227943945155e308, math.Inf(1))),
		Tol: tensor.Tolerance{Rel: 1e-14},
	}})
}
