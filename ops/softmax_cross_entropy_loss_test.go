package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestSoftmaxCrossEntropyLoss(t *testing.T) {
	const n, c, inner = 2, 3, 4
	x, w := wave(n*c*inner, 1), []float32{0.5, 2, 1}
	logp := make([]float32, len(x))
	for i := 0; i < n*inner; i++ {
		line := make([]float64, c)
		for k := range line {
			line[k] = float64(x[(i/inner*c+k)*inner+i%inner])
		}
		for k, v := range naiveSoftmax(line) {
			logp[(i/inner*c+k)*inner+i%inner] = float32(math.Log(v))
		}
	}
	classes := []int64{0, 2, 1, 5, 2, 0, 5, 1}
	X, T, W := F32([]int{n, c, inner}, x...), I64([]int{n, inner}, classes...), F32([]int{c}, w...)
	each, sum, count := naiveLoss(logp, n, c, inner, classes, w, 5)
	scalar := func(v float64) tensor.Value { return F32([]int{}, float32(v)) }
	ignore := onnx.NewAttrs("ignore_index", 5)
	Run(t, []Case{
		{Op: "SoftmaxCrossEntropyLoss", In: Vals(X, T, W), Attrs: ignore, Want: Vals(scalar(sum/count), F32([]int{n, c, inner}, logp...)), Tol: close5},
		{Op: "SoftmaxCrossEntropyLoss", Opset: 12, In: Vals(X, T, W), Attrs: onnx.NewAttrs("ignore_index", 5, "reduction", "none"), Want: Vals(F32([]int{n, inner}, each...)), Tol: close5},
		{Op: "SoftmaxCrossEntropyLoss", In: Vals(X, T, W), Attrs: onnx.NewAttrs("ignore_index", 5, "reduction", "sum"), Want: Vals(scalar(sum)), Tol: close5},
		{Op: "SoftmaxCrossEntropyLoss", In: Vals(F64([]int{1, 2}, 1, 1), I32([]int{1}, 1)), Want: Vals(F64([]int{}, math.Ln2))},
		{Op: "SoftmaxCrossEntropyLoss", In: Vals(X, T), Want: Vals(scalar(0)), Err: "target has class 5, want 0 to 2"},
	})
}

func TestSoftmaxCrossEntropyLossGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "SoftmaxCrossEntropyLoss", In: Vals(Normal(1, 4, 5), I64([]int{4}, 1, 0, 4, 1))},
		{Op: "SoftmaxCrossEntropyLoss", Outs: 2, Attrs: onnx.NewAttrs("reduction", "none", "ignore_index", -100), In: Vals(Normal(1, 4, 3), I64([]int{4}, 1, 0, -100, 1))},
		{Op: "SoftmaxCrossEntropyLoss", Outs: 2, Silent: []int{0}, In: Vals(Normal(1, 4, 3), I64([]int{4}, 1, 0, 2, 1))},
		{Op: "SoftmaxCrossEntropyLoss", Attrs: onnx.NewAttrs("reduction", "sum"), In: Vals(Normal(1, 2, 3, 4), I64([]int{2, 4}, 1, 0, 2, 1, 0, 0, 1, 2))},
		{Op: "SoftmaxCrossEntropyLoss", Attrs: onnx.NewAttrs("ignore_index", 1), In: Vals(Normal(1, 4, 3), I64([]int{4}, 1, 0, 2, 1))},
		{Op: "SoftmaxCrossEntropyLoss", Attrs: onnx.NewAttrs("ignore_index", -100), In: Vals(Normal(1, 4, 3), I64([]int{4}, 1, -100, 2, 1), Between(2, 0.5, 2, 3))},
		{Op: "SoftmaxCrossEntropyLoss", Outs: 2, Attrs: onnx.NewAttrs("reduction", "none"), In: Vals(Normal(1, 2, 3, 4), I32([]int{2, 4}, 1, 0, 2, 1, 0, 0, 1, 2), Between(2, 0.5, 2, 3))},
	})
}
