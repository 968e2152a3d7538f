package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestLRN(t *testing.T) {
	shape := []int{2, 5, 300}
	x := wave(3000, 1)
	for _, c := range []struct {
		size              int
		alpha, beta, bias float64
	}{{3, 0.5, 0.75, 1}, {4, 0.1, 0.5, 2}, {1, 1e-4, 0.75, 1}} {
		y := make([]float32, len(x))
		for i := range x {
			ch, sum := i/300%5, 0.0
			lo, hi := ch-int(math.Floor(float64(c.size-1)/2)), ch+int(math.Ceil(float64(c.size-1)/2))
			for j := max(lo, 0); j <= min(hi, 4); j++ {
				v := float64(x[i+(j-ch)*300])
				sum += v * v
			}
			y[i] = float32(float64(x[i]) / math.Pow(c.bias+c.alpha/float64(c.size)*sum, c.beta))
		}
		Run(t, []Case{{Op: "LRN", In: Vals(F32(shape, x...)), Tol: close5, Want: Vals(F32(shape, y...)),
			Attrs: onnx.NewAttrs("size", c.size, "alpha", c.alpha, "beta", c.beta, "bias", c.bias)}})
	}
	Run(t, []Case{
		{Op: "LRN", Opset: 1, In: Vals(F32([]int{1, 1, 1, 1}, 2)), Attrs: onnx.NewAttrs("size", 1, "alpha", 0.25, "beta", 1.0), Want: Vals(F32([]int{1, 1, 1, 1}, 1))},
		{Op: "LRN", In: Vals(F32([]int{1}, 2)), Attrs: onnx.NewAttrs("size", 1), Want: Vals(F32([]int{1}, 1)), Err: "X has shape [1]"},
		{Op: "LRN", In: Vals(F32([]int{1, 1}, 2)), Want: Vals(F32([]int{1}, 1)), Err: "\"size\" is 0"},
	})
}

func TestLRNGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "LRN", Attrs: onnx.NewAttrs("size", 3, "alpha", 0.5), In: Vals(Normal(1, 2, 5, 2, 3))},
		{Op: "LRN", Attrs: onnx.NewAttrs("size", 4, "alpha", 0.3, "beta", 0.5, "bias", 2.0), In: Vals(Normal(2, 2, 6, 3))},
	})
}
