package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMeanVarianceNormalization(t *testing.T) {
	// Two channels of [2, 2, 1, 3]; then over the last axis alone, and over the first.
	x := wave(12, 1)
	shape := []int{2, 2, 1, 3}
	y := make([]float32, 12)
	for c := 0; c < 2; c++ {
		at := []int{c * 3, c*3 + 1, c*3 + 2, 6 + c*3, 7 + c*3, 8 + c*3}
		var set []float32
		for _, i := range at {
			set = append(set, x[i])
		}
		norm, _, _ := naiveNormRows(set, 6, 0, true, nil, nil)
		for k, i := range at {
			y[i] = norm[k]
		}
	}
	rows, _, _ := naiveNormRows(x, 3, 0, true, nil, nil)
	Run(t, []Case{
		{Op: "MeanVarianceNormalization", In: Vals(F32(shape, x...)), Want: Vals(F32(shape, y...)), Tol: close5},
		{Op: "MeanVarianceNormalization", Opset: 9, In: Vals(F32(shape, x...)), Attrs: onnx.NewAttrs("axes", []int{-1}), Want: Vals(F32(shape, rows...)), Tol: close5},
		{Op: "MeanVarianceNormalization", In: Vals(F32([]int{2, 2}, 1, 5, 3, 9)), Attrs: onnx.NewAttrs("axes", []int{0}), Want: Vals(F32([]int{2, 2}, -1, -1, 1, 1)), Tol: close5},
		{Op: "MeanVarianceNormalization", In: Vals(F32([]int{2}, 1, 5)), Want: Vals(F32([]int{2}, 1, 5)), Err: "axis 2 is not in [-1, 0]"},
	})
}

func TestMeanVarianceNormalizationGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "MeanVarianceNormalization", In: Vals(Normal(1, 2, 3, 2, 3))},
		{Op: "MeanVarianceNormalization", Attrs: onnx.NewAttrs("axes", []int{1}), In: Vals(Normal(2, 3, 4))},
	})
}
