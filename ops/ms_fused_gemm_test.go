package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestFusedGemm(t *testing.T) {
	a, b := F32([]int{1, 2}, 1, 2), F32([]int{2, 3}, 1, -1, 0, 1, -1, 0)
	c := F32([]int{3}, 1, 1, 0.25) // A·B + C = [4 -2 0.25]
	with := func(name string, more ...any) onnx.Attrs {
		return onnx.NewAttrs(append([]any{"activation", name}, more...)...)
	}
	y := func(v ...float64) []float32 {
		out := make([]float32, len(v))
		for i := range v {
			out[i] = float32(v[i])
		}
		return out
	}
	sig := func(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
	cases := []Case{
		{Attrs: nil, Want: Vals(F32([]int{1, 3}, 4, -2, 0.25))},
		{Attrs: with("Relu"), Want: Vals(F32([]int{1, 3}, 4, 0, 0.25))},
		{Attrs: with("Relu", "alpha", 2.0), Want: Vals(F32([]int{1, 3}, 7, 0, 0.25))},
		{Attrs: with("LeakyRelu", "activation_alpha", 0.5), Want: Vals(F32([]int{1, 3}, 4, -1, 0.25))},
		{Attrs: with("LeakyRelu"), Want: Vals(F32([]int{1, 3}, 4, -0.02, 0.25))},
		{Attrs: with("Sigmoid"), Want: Vals(F32([]int{1, 3}, y(sig(4), sig(-2), sig(0.25))...))},
		{Attrs: with("Tanh"), Want: Vals(F32([]int{1, 3}, y(math.Tanh(4), math.Tanh(-2), math.Tanh(0.25))...))},
		{Attrs: with("Softplus"), Want: Vals(F32([]int{1, 3}, y(math.Log1p(math.Exp(4)), math.Log1p(math.Exp(-2)), math.Log1p(math.Exp(0.25)))...))},
		{Attrs: with("Softsign"), Want: Vals(F32([]int{1, 3}, y(0.8, -2./3, 0.2)...))},
		{Attrs: with("ThresholdedRelu"), Want: Vals(F32([]int{1, 3}, 4, 0, 0))},
		{Attrs: with("Elu"), Want: Vals(F32([]int{1, 3}, y(4, math.Expm1(-2), 0.25)...))},
		{Attrs: with("Selu", "activation_alpha", 2.0, "activation_beta", 3.0), Want: Vals(F32([]int{1, 3}, y(12, 6*math.Expm1(-2), 0.75)...))},
		{Attrs: with("HardSigmoid", "activation_alpha", 0.1, "activation_beta", 0.5, "activation_gamma", 1.0), Want: Vals(F32([]int{1, 3}, 0.9, 0.3, 0.525))},
		{Attrs: with("Clip", "activation_alpha", -1.0, "activation_beta", 1.0), Want: Vals(F32([]int{1, 3}, 1, -1, 0.25))},
		{Attrs: with("Swirl"), Want: Vals(c), Err: `not supported: activation "Swirl"`},
	}
	for i := range cases {
		cases[i].Domain, cases[i].Op, cases[i].In = "com.microsoft", "FusedGemm", Vals(a, b, c)
	}
	cases = append(cases, Case{Domain: "com.microsoft", Op: "FusedGemm", Attrs: with("Sigmoid"),
		In: Vals(F64([]int{1, 1}, 2), F64([]int{1, 1}, 3)), Want: Vals(F64([]int{1, 1}, sig(6)))})
	Run(t, cases)
}
