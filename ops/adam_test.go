package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestAdam(t *testing.T) {
	tol := tensor.Tolerance{Rel: 1e-6}
	a, b := float64(float32(0.95)), float64(float32(0.85))
	f := func(n int, x, g, v, h float64) (float32, float32, float32) {
		g += 0.5 * x
		v = a*v + (1-a)*g
		h = b*h + (1-b)*g*g
		r := float64(float32(0.1))
		if n > 0 {
			r *= math.Sqrt(1-math.Pow(b, float64(n))) / (1 - math.Pow(a, float64(n)))
		}
		return float32((1 - 0.25) * (x - r*v/(math.Sqrt(h)+0.125))), float32(v), float32(h)
	}
	as := onnx.NewAttrs("alpha", 0.95, "beta", 0.85, "norm_coefficient", 0.5, "norm_coefficient_post", 0.25, "epsilon", 0.125)
	for _, n := range []int{0, 3} {
		x, v, h := f(n, 1.2, -0.9, 1.7, 0.1)
		Run(t, []Case{
			{Domain: "ai.onnx.preview.training", Op: "Adam", Attrs: as, In: Vals(F32([]int{}, 0.1), I64([]int{}, int64(n)), F32([]int{1}, 1.2), F32([]int{1}, -0.9), F32([]int{1}, 1.7), F32([]int{1}, 0.1)),
				Want: Vals(F32([]int{1}, x), F32([]int{1}, v), F32([]int{1}, h)), Tol: tol},
		})
	}
}
