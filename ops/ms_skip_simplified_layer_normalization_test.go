package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestSkipSimplifiedLayerNormalization(t *testing.T) {
	shape := []int{2, 3, 4}
	x, skip, g, bias := wave(24, 1), wave(24, 2), wave(4, 3), wave(4, 5)
	sum := make([]float32, 24)
	for i := range sum {
		sum[i] = x[i] + skip[i] + bias[i%4]
	}
	y, _, v := naiveNormRows(sum, 4, 1e-6, false, g, nil)
	Run(t, []Case{
		{Op: "SkipSimplifiedLayerNormalization", Domain: "com.microsoft", In: Vals(F32(shape, x...), F32(shape, skip...), F32([]int{4}, g...), F32([]int{4}, bias...)), Attrs: onnx.NewAttrs("epsilon", 1e-6),
			Want: Vals(F32(shape, y...), F32([]int{2, 3, 1}, 0, 0, 0, 0, 0, 0), F32([]int{2, 3, 1}, v...), F32(shape, sum...)), Tol: close5},
		{Op: "SkipSimplifiedLayerNormalization", Domain: "com.microsoft", In: Vals(F32([]int{4}, g...), F32([]int{4}, g...), F32([]int{4}, g...)), Want: Vals(F32([]int{4}, g...)), Err: "input has shape [4]"},
	})
}

func TestSkipSimplifiedLayerNormalizationGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Domain: "com.microsoft", Opset: 1, Op: "SkipSimplifiedLayerNormalization", In: Vals(Normal(1, 2, 3, 5), Normal(2, 2, 3, 5), Normal(3, 5), Normal(4, 5))},
		{Name: "statistics", Domain: "com.microsoft", Opset: 1, Op: "SkipSimplifiedLayerNormalization", In: Vals(Normal(1, 2, 3, 5), Normal(2, 3, 5), Normal(3, 5), Normal(4, 5)), Outs: 4},
		{Name: "mean alone", Domain: "com.microsoft", Opset: 1, Op: "SkipSimplifiedLayerNormalization", In: Vals(Normal(1, 3, 5), Normal(2, 3, 5), Normal(3, 5)), Outs: 2, Silent: []int{0}, Flat: []int{0, 1, 2}},
	})
}
