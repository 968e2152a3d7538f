package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMsFastGelu(t *testing.T) {
	x, b := F32([]int{2, 2}, 1, -2, 0, 3), F32([]int{2}, 0.5, 1)
	f := func(x float64) float32 {
		return float32(x / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(x+0.044715*x*x*x))))
	}
	tol := tensor.Tolerance{Rel: 1e-6}
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "FastGelu", In: Vals(x, b), Want: Vals(F32([]int{2, 2}, f(1.5), f(-1), f(0.5), f(4))), Tol: tol},
		{Domain: "com.microsoft", Op: "FastGelu", In: Vals(x), Want: Vals(F32([]int{2, 2}, f(1), f(-2), 0, f(3))), Tol: tol},
		{Domain: "com.microsoft", Op: "FastGelu", In: Vals(x, F64([]int{2}, 1, 2)), Want: Vals(x), Err: "bias is float64, want float32"},
	})
}

func TestMSFastGeluGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Domain: "com.microsoft", Opset: 1, Op: "FastGelu", In: Vals(Normal(1, 2, 3, 4), Normal(2, 4))},
		{Domain: "com.microsoft", Opset: 1, Op: "FastGelu", In: Vals(Normal(1, 2, 3))},
	})
}
