package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// naiveLoss is the loss per position by the formula, and the sum of weights.
func naiveLoss(logp []float32, n, c, inner int, classes []int64, w []float32, ignore int64) (each []float32, sum, weights float64) {
	for i, k := range classes {
		v, wk := 0.0, 1.0
		if w != nil && k != ignore {
			wk = float64(w[k])
		}
		if k == ignore {
			wk = 0
		} else {
			v = -wk * float64(logp[(i/inner*c+int(k))*inner+i%inner])
		}
		each = append(each, float32(v))
		sum += v
		weights += wk
	}
	return each, sum, weights
}

func TestNegativeLogLikelihoodLoss(t *testing.T) {
	const n, c, inner = 3, 4, 5
	x, w := wave(n*c*inner, 1), []float32{0.5, 2, 1, 0.25}
	classes := make([]int64, n*inner)
	for i := range classes {
		classes[i] = int64(i * i % 4)
	}
	marked := append([]int64(nil), classes...)
	marked[3], marked[7] = -1, -1
	X, T, W, M := F32([]int{n, c, inner}, x...), I64([]int{n, inner}, classes...), F32([]int{c}, w...), I64([]int{n, inner}, marked...)
	each, sum, count := naiveLoss(x, n, c, inner, classes, nil, -9)
	eachW, sumW, countW := naiveLoss(x, n, c, inner, marked, w, -1)
	_, sumI, countI := naiveLoss(x, n, c, inner, marked, nil, -1)
	scalar := func(v float64) tensor.Value { return F32([]int{}, float32(v)) }
	shape := []int{n, inner}
	Run(t, []Case{
		{Op: "NegativeLogLikelihoodLoss", In: Vals(X, T), Attrs: onnx.NewAttrs("reduction", "none"), Want: Vals(F32(shape, each...))},
		{Op: "NegativeLogLikelihoodLoss", In: Vals(X, T), Attrs: onnx.NewAttrs("reduction", "sum"), Want: Vals(scalar(sum))},
		{Op: "NegativeLogLikelihoodLoss", Opset: 12, In: Vals(X, T), Want: Vals(scalar(sum / count))},
		{Op: "NegativeLogLikelihoodLoss", In: Vals(X, M, W), Attrs: onnx.NewAttrs("reduction", "none", "ignore_index", -1), Want: Vals(F32(shape, eachW...))},
		{Op: "NegativeLogLikelihoodLoss", In: Vals(X, M, W), Attrs: onnx.NewAttrs("ignore_index", -1), Want: Vals(scalar(sumW / countW))},
		{Op: "NegativeLogLikelihoodLoss", In: Vals(X, M), Attrs: onnx.NewAttrs("ignore_index", -1), Want: Vals(scalar(sumI / countI))},
		{Op: "NegativeLogLikelihoodLoss", In: Vals(F32([]int{2, 2}, -1, -2, -3, -4), I32([]int{2}, 1, 0)), Want: Vals(scalar(2.5))},
		{Op: "NegativeLogLikelihoodLoss", In: Vals(X, M), Want: Vals(scalar(0)), Err: "target has class -1, want 0 to 3"},
		{Op: "NegativeLogLikelihoodLoss", In: Vals(X, I64([]int{3}, 0, 0, 0)), Want: Vals(scalar(0)), Err: "shapes of input and target"},
		{Op: "NegativeLogLikelihoodLoss", In: Vals(X, T, F32([]int{3}, 1, 1, 1)), Want: Vals(scalar(0)), Err: "weight has shape [3], want [4]"},
		{Op: "NegativeLogLikelihoodLoss", In: Vals(X, T), Attrs: onnx.NewAttrs("reduction", "max"), Want: Vals(scalar(0)), Err: "\"reduction\" is \"max\""},
	})
}

func TestNegativeLogLikelihoodLossGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "NegativeLogLikelihoodLoss", In: Vals(Normal(1, 4, 5), I64([]int{4}, 1, 0, 4, 1))},
		{Op: "NegativeLogLikelihoodLoss", Attrs: onnx.NewAttrs("reduction", "none", "ignore_index", 0), In: Vals(Normal(1, 2, 3, 2), I64([]int{2, 2}, 1, 0, 2, 1))},
		{Op: "NegativeLogLikelihoodLoss", Attrs: onnx.NewAttrs("reduction", "sum"), In: Vals(Normal(1, 4, 3), I64([]int{4}, 1, 0, 2, 1))},
		{Op: "NegativeLogLikelihoodLoss", In: Vals(Normal(1, 2, 3, 2), I32([]int{2, 2}, 1, 0, 2, 1), Between(2, 0.5, 2, 3))},
		{Op: "NegativeLogLikelihoodLoss", Attrs: onnx.NewAttrs("reduction", "none", "ignore_index", 0), In: Vals(Normal(1, 2, 3, 2), I64([]int{2, 2}, 1, 0, 2, 1), Between(2, 0.5, 2, 3))},
		{Op: "NegativeLogLikelihoodLoss", Attrs: onnx.NewAttrs("reduction", "sum", "ignore_index", 9), In: Vals(Normal(1, 4, 3), I32([]int{4}, 1, 9, 2, 1), Between(2, 0.5, 2, 3))},
	})
}
