package ops_test

import (
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Many lines of few elements, with infinities and NaN in some, against the definition.
func TestShortLines(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	inf, nan := math.Inf(1), math.NaN()
	for _, n := range []int{1, 2, 3, 5, 16, 31, 32, 33} {
		const rows = 300
		x := make([]float64, rows*n)
		for i := range x {
			x[i] = float64(float32(r.NormFloat64() * 20))
			if i/n%7 == 3 && r.IntN(3) == 0 {
				x[i] = []float64{inf, -inf, nan}[r.IntN(3)]
			}
			if i/n%11 == 5 {
				x[i] = -inf
			}
		}
		soft, log, lse := make([]float64, len(x)), make([]float64, len(x)), make([]float64, rows)
		for i := range rows {
			line, m := x[i*n:(i+1)*n], math.Inf(-1)
			for _, v := range line {
				m = max(m, v)
			}
			sum := 0.0
			for _, v := range line {
				sum += math.Exp(v - m)
			}
			if lse[i] = m + math.Log(sum); math.IsInf(m, 0) {
				lse[i] = m
			}
			for j, v := range line {
				soft[i*n+j] = math.Exp(v-m) / sum
				log[i*n+j] = v - m - math.Log(sum)
			}
		}
		single := func(x []float64) []float32 {
			out := make([]float32, len(x))
			for i, v := range x {
				out[i] = float32(v)
			}
			return out
		}
		s, axis := []int{rows, n}, onnx.NewAttrs("axes", []int{1}, "keepdims", 0)
		narrow, wide := tensor.Tolerance{Rel: 2e-6, Abs: 1e-7}, tensor.Tolerance{Rel: 1e-14, Abs: 1e-14}
		Run(t, []Case{
			{Op: "Softmax", In: Vals(F64(s, x...)), Want: Vals(F64(s, soft...)), Tol: wide},
			{Op: "Softmax", In: Vals(F32(s, single(x)...)), Want: Vals(F32(s, single(soft)...)), Tol: narrow},
			{Op: "LogSoftmax", In: Vals(F64(s, x...)), Want: Vals(F64(s, log...)), Tol: wide},
			{Op: "LogSoftmax", In: Vals(F32(s, single(x)...)), Want: Vals(F32(s, single(log)...)), Tol: narrow},
			{Op: "ReduceLogSumExp", Opset: 13, Attrs: axis, In: Vals(F64(s, x...)), Want: Vals(F64([]int{rows}, lse...)), Tol: wide},
			{Op: "ReduceLogSumExp", Opset: 13, Attrs: axis, In: Vals(F32(s, single(x)...)), Want: Vals(F32([]int{rows}, single(lse)...)), Tol: narrow},
		})
	}
}
