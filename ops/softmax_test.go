package ops_test

import (
	"fmt"
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestSoftmax(t *testing.T) {
	Run(t, softmaxCases("Softmax", naiveSoftmax))
	inf := float32(math.Inf(1))
	Run(t, []Case{
		{Op: "Softmax", In: Vals(F32([]int{1, 3}, 1000, 1000, -1000)), Want: Vals(F32([]int{1, 3}, 0.5, 0.5, 0))},
		{Op: "Softmax", In: Vals(F32([]int{3}, 0, -inf, 0)), Want: Vals(F32([]int{3}, 0.5, 0, 0.5))},
		{Op: "Softmax", In: Vals(F32([]int{2}, 0, -90)), Want: Vals(F32([]int{2}, 1, 8.194012e-40))},
	})
}

func TestSoftmaxGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Softmax", In: Vals(Normal(1, 2, 5))},
		{Op: "Softmax", Attrs: onnx.NewAttrs("axis", 0), In: Vals(Normal(1, 3, 2, 2))},
	})
}

// TestSoftmaxHalves rounds after each step, in lines longer than what is rounded at a time.
func TestSoftmaxHalves(t *testing.T) {
	for _, n := range []int{1, 7, 64, 513, 1300} {
		for name, round := range map[string]func(float64) float64{
			"float16":  func(x float64) float64 { return float64(tensor.F16Of(float32(x)).Float32()) },
			"bfloat16": func(x float64) float64 { return float64(tensor.BF16Of(float32(x)).Float32()) },
		} {
			x := wave(3*n, 1)
			want := make([]float32, len(x))
			for i := range x {
				x[i] = float32(round(float64(x[i]) * 3))
			}
			for l := 0; l < len(x); l += n {
				top, sum := math.Inf(-1), 0.0
				for _, v := range x[l : l+n] {
					top = max(top, float64(v))
				}
				for i := l; i < l+n; i++ {
					want[i] = float32(round(math.Exp(round(float64(x[i]) - top))))
					sum += float64(want[i])
				}
				for i := l; i < l+n; i++ {
					want[i] = float32(round(float64(want[i]) / round(sum)))
				}
			}
			c := Case{Name: fmt.Sprint(name, n), Op: "Softmax", Tol: tensor.Tolerance{Rel: 1e-3, Abs: 1e-7}}
			if name == "float16" {
				c.In, c.Want = Vals(halvesOf(x, tensor.F16Of, 3, n)), Vals(halvesOf(want, tensor.F16Of, 3, n))
			} else {
				c.In, c.Want = Vals(halvesOf(x, tensor.BF16Of, 3, n)), Vals(halvesOf(want, tensor.BF16Of, 3, n))
				c.Tol.Rel = 8e-3
			}
			Run(t, []Case{c})
		}
	}
}

func halvesOf[T tensor.Element](x []float32, of func(float32) T, shape ...int) *tensor.Tensor {
	d := make([]T, len(x))
	for i, v := range x {
		d[i] = of(v)
	}
	return tensor.Of(d, shape...)
}
