package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestLogSoftmax(t *testing.T) {
	Run(t, softmaxCases("LogSoftmax", func(x []float64) []float64 {
		y := naiveSoftmax(x)
		for i, v := range y {
			y[i] = math.Log(v)
		}
		return y
	}))
	Run(t, []Case{
		{Op: "LogSoftmax", In: Vals(F32([]int{1, 2}, 1000, -1000)), Want: Vals(F32([]int{1, 2}, 0, -2000))},
	})
}

func TestLogSoftmaxGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "LogSoftmax", In: Vals(Normal(1, 2, 5))},
		{Op: "LogSoftmax", Attrs: onnx.NewAttrs("axis", 0), In: Vals(Normal(1, 3, 2, 2))},
	})
}
