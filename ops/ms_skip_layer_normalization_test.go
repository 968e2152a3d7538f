package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestSkipLayerNormalization(t *testing.T) {
	shape := []int{2, 3, 4}
	x, skip, g, b, bias := wave(24, 1), wave(24, 2), wave(4, 3), wave(4, 4), wave(4, 5)
	sum, cast := make([]float32, 24), make([]float32, 24)
	for i := range sum {
		sum[i] = x[i] + skip[i] + bias[i%4]
		cast[i] = x[i] + skip[i%12]
	}
	y, m, v := naiveNormRows(sum, 4, 1e-3, true, g, b)
	yc, _, _ := naiveNormRows(cast, 4, 1e-12, true, g, nil)
	vec := func(v []float32) tensor.Value { return F32([]int{4}, v...) }
	Run(t, []Case{
		{Op: "SkipLayerNormalization", Domain: "com.microsoft", In: Vals(F32(shape, x...), F32(shape, skip...), vec(g), vec(b), vec(bias)), Attrs: onnx.NewAttrs("epsilon", 1e-3),
			Want: Vals(F32(shape, y...), F32([]int{2, 3, 1}, m...), F32([]int{2, 3, 1}, v...), F32(shape, sum...)), Tol: close5},
		{Op: "SkipLayerNormalization", Domain: "com.microsoft", In: Vals(F32(shape, x...), F32([]int{3, 4}, skip[:12]...), vec(g)), Want: Vals(F32(shape, yc...)), Tol: close5},
		{Op: "SkipLayerNormalization", Domain: "com.microsoft", In: Vals(F32(shape, x...), F32([]int{1, 3, 4}, skip[:12]...), vec(g)), Want: Vals(F32(shape, yc...), nil, nil, F32(shape, cast...)), Tol: close5},
		{Op: "SkipLayerNormalization", Domain: "com.microsoft", In: Vals(F32(shape, x...), F32([]int{4}, skip[:4]...), vec(g)), Want: Vals(F32(shape, yc...)), Err: "skip has shape [4]"},
		{Op: "SkipLayerNormalization", Domain: "com.microsoft", In: Vals(F32(shape, x...), F32(shape, skip...), F32([]int{1}, 1)), Want: Vals(F32(shape, yc...)), Err: "gamma has shape [1], want [4]"},
	})
}

func TestSkipLayerNormalizationGradient(t *testing.T) {
	ms := "com.microsoft"
	Gradients(t, []GradCase{
		{Domain: ms, Opset: 1, Op: "SkipLayerNormalization", In: Vals(Normal(1, 2, 3, 5), Normal(2, 2, 3, 5), Normal(3, 5), Normal(4, 5), Normal(5, 5))},
		{Domain: ms, Opset: 1, Op: "SkipLayerNormalization", In: Vals(Normal(1, 2, 3, 5), Normal(2, 3, 5), Normal(3, 5))},
		{Domain: ms, Opset: 1, Op: "SkipLayerNormalization", In: Vals(Normal(1, 2, 3, 5), Normal(2, 2, 3, 5), Normal(3, 5), Normal(4, 5)), Outs: 4, Silent: []int{1, 2}},
		{Name: "statistics", Domain: ms, Opset: 1, Op: "SkipLayerNormalization", In: Vals(Normal(1, 2, 3, 5), Normal(2, 3, 5), Normal(3, 5), Normal(4, 5), Normal(5, 5)), Outs: 4},
		{Name: "mean alone", Domain: ms, Opset: 1, Op: "SkipLayerNormalization", In: Vals(Normal(1, 3, 5), Normal(2, 3, 5), Normal(3, 5), nil, Normal(5, 5)), Outs: 2, Silent: []int{0}, Flat: []int{2}},
		{Name: "deviation alone", Domain: ms, Opset: 1, Op: "SkipLayerNormalization", In: Vals(Normal(1, 3, 5), Normal(2, 3, 5), Normal(3, 5)), Outs: 3, Silent: []int{0, 1}, Flat: []int{2}},
	})
}
