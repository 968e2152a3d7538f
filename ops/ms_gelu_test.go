package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func erfGelu(x float64) float64 { return x / 2 * math.Erfc(-x/math.Sqrt2) }

func TestMsGelu(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "Gelu", In: Vals(F32([]int{3}, 1, -2, 0)), Want: Vals(F32([]int{3}, float32(erfGelu(1)), float32(erfGelu(-2)), 0)), Tol: tensor.Tolerance{Rel: 1e-6, Abs: 1e-6}},
		{Domain: "com.microsoft", Op: "Gelu", In: Vals(F64([]int{1}, 0.5)), Want: Vals(F64([]int{1}, erfGelu(0.5))), Tol: tensor.Tolerance{Rel: 1e-12}},
		{Domain: "com.microsoft", Op: "Gelu", In: Vals(I32([]int{1}, 1)), Want: Vals(I32([]int{1}, 1)), Err: "not supported"},
	})
}

func TestMSGeluGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Domain: "com.microsoft", Opset: 1, Op: "Gelu", In: Vals(Normal(1, 3, 4))},
	})
}
