package ops_test

import (
	"fmt"
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
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

// TestLogSoftmaxConfident: where one element decides, its logarithm near 0 has all its digits.
func TestLogSoftmaxConfident(t *testing.T) {
	var cases []Case
	for _, s := range [][]int{{1, 2}, {20, 2}, {9, 30}, {1, 40}, {3, 1000}, {2, 5000}, {2, 3, 20}, {1, 70, 600}} {
		n, inner := s[1], 1
		if len(s) == 3 {
			inner = s[2]
		}
		for _, lead := range []float32{0, 1, 3, 12, 30, 200} {
			x := wave(s[0]*n*inner, 1)
			want := make([]float32, len(x))
			for o := range s[0] {
				for i := range inner {
					at := func(j int) int { return (o*n+j)*inner + i }
					x[at((i+1)%n)] += lead
					big, sum := (i+1)%n, 0.0
					for j := range n {
						if x[at(j)] > x[at(big)] {
							big = j
						}
					}
					for j := range n {
						if j != big {
							sum += math.Exp(float64(x[at(j)]) - float64(x[at(big)]))
						}
					}
					for j := range n {
						want[at(j)] = float32(float64(x[at(j)]) - float64(x[at(big)]) - math.Log1p(sum))
					}
				}
			}
			cases = append(cases, Case{Name: fmt.Sprint(s, lead), Op: "LogSoftmax", Attrs: onnx.NewAttrs("axis", 1), In: Vals(F32(s, x...)), Want: Vals(F32(s, want...)), Tol: tensor.Tolerance{Rel: 2e-6, Abs: 1e-30}})
		}
	}
	Run(t, cases)
}

func TestLogSoftmaxGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "LogSoftmax", In: Vals(Normal(1, 2, 5))},
		{Op: "LogSoftmax", Attrs: onnx.NewAttrs("axis", 0), In: Vals(Normal(1, 3, 2, 2))},
	})
}
