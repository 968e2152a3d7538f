package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMsBiasGelu(t *testing.T) {
	x, b := F32([]int{2, 2}, 1, -2, 0, 3), F32([]int{2}, 0.5, 1)
	f := func(x float64) float32 { return float32(x / 2 * math.Erfc(-x/math.Sqrt2)) }
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "BiasGelu", In: Vals(x, b), Want: Vals(F32([]int{2, 2}, f(1.5), f(-1), f(0.5), f(4))), Tol: tensor.Tolerance{Rel: 1e-6}},
		{Domain: "com.microsoft", Op: "BiasGelu", In: Vals(Of([]int{1}, tensor.F16Of(1)), Of([]int{1}, tensor.F16Of(0.5))), Want: Vals(Of([]int{1}, tensor.F16Of(f(1.5))))},
		{Domain: "com.microsoft", Op: "BiasGelu", In: Vals(F32([]int{0, 2}), b), Want: Vals(F32([]int{0, 2}))},
		{Domain: "com.microsoft", Op: "BiasGelu", In: Vals(x, F32([]int{3}, 1, 2, 3)), Want: Vals(x), Err: "B has shape [3], want the last dimension of [2 2]"},
	})
}

func TestMSBiasGeluGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Domain: "com.microsoft", Opset: 1, Op: "BiasGelu", In: Vals(Normal(1, 2, 3, 4), Normal(2, 4))},
	})
}
