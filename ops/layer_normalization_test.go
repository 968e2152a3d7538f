package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestLayerNormalization(t *testing.T) {
	x, s, b := wave(24, 1), wave(4, 2), wave(4, 3)
	shape := []int{2, 3, 4}
	y, m, v := naiveNormRows(x, 4, 1e-5, true, s, b)
	noBias, _, _ := naiveNormRows(x, 4, 1e-5, true, s, nil)
	s12 := wave(12, 4)
	y12, m12, v12 := naiveNormRows(x, 12, 0.1, true, s12, nil)
	wide := wave(24, 5)
	full, _, _ := naiveNormRows(x, 12, 1e-5, true, nil, nil)
	col := make([]float32, 24) // scale of shape [3, 1]
	for i := range full {
		col[i] = full[i] * wide[i/4%3]
		full[i] *= wide[i]
	}
	h, _, _ := naiveNormRows(from16(x), 4, 1e-5, true, from16(s), from16(b))
	Run(t, []Case{
		{Op: "LayerNormalization", In: Vals(F32(shape, x...), F32([]int{4}, s...), F32([]int{4}, b...)), Tol: close5,
			Want: Vals(F32(shape, y...), F32([]int{2, 3, 1}, m...), F32([]int{2, 3, 1}, v...))},
		{Op: "LayerNormalization", In: Vals(F32(shape, x...), F32([]int{4}, s...)), Want: Vals(F32(shape, noBias...)), Tol: close5},
		{Op: "LayerNormalization", Opset: 12, In: Vals(F32(shape, x...), F32([]int{4}, s...)), Want: Vals(F32(shape, noBias...), nil, F32([]int{2, 3, 1}, v...)), Tol: close5},
		{Op: "LayerNormalization", In: Vals(F32(shape, x...), F32([]int{3, 4}, s12...)), Attrs: onnx.NewAttrs("axis", 1, "epsilon", 0.1),
			Want: Vals(F32(shape, y12...), F32([]int{2, 1, 1}, m12...), F32([]int{2, 1, 1}, v12...)), Tol: close5},
		{Op: "LayerNormalization", In: Vals(F32(shape, x...), F32(shape, wide...)), Attrs: onnx.NewAttrs("axis", 1), Want: Vals(F32(shape, full...)), Tol: close5},
		{Op: "LayerNormalization", In: Vals(F32(shape, x...), F32([]int{1, 3, 1}, wide[:3]...)), Attrs: onnx.NewAttrs("axis", -2), Want: Vals(F32(shape, col...)), Tol: close5},
		{Op: "LayerNormalization", In: Vals(Of(shape, to64(x)...), Of([]int{4}, to64(s)...), Of([]int{4}, to64(b)...)), Attrs: onnx.NewAttrs("stash_type", 1),
			Want: Vals(nil, F32([]int{2, 3, 1}, m...), F32([]int{2, 3, 1}, v...)), Tol: close5},
		{Op: "LayerNormalization", In: Vals(Of(shape, to16(x)...), Of([]int{4}, to16(s)...), Of([]int{4}, to16(b)...)), Want: Vals(Of(shape, to16(h)...)), Tol: close5},
		{Op: "LayerNormalization", In: Vals(F32([]int{0, 4}), F32([]int{4}, s...)), Want: Vals(F32([]int{0, 4}))},
		{Op: "LayerNormalization", In: Vals(F32(shape, x...), F32([]int{3}, 1, 2, 3)), Want: Vals(F32(shape, x...)), Err: "Scale has shape [3], want one that broadcasts to [2 3 4]"},
		{Op: "LayerNormalization", In: Vals(F32(shape, x...), F32([]int{4}, s...)), Attrs: onnx.NewAttrs("axis", 3), Want: Vals(F32(shape, x...), nil), Err: "axis 3 is not in [-3, 2]"},
	})
}

func TestLayerNormalizationGradient(t *testing.T) {
	at := onnx.NewAttrs
	stash := int(tensor.Float64)
	Gradients(t, []GradCase{
		{Op: "LayerNormalization", In: Vals(Normal(1, 4, 9), Normal(2, 9), Normal(3, 9))},
		{Op: "LayerNormalization", Attrs: at("axis", 1, "epsilon", 0.01), In: Vals(Normal(1, 4, 3, 5), Normal(2, 3, 5))},
		{Name: "broadcast scale", Op: "LayerNormalization", Attrs: at("axis", -2), In: Vals(Normal(1, 4, 3, 5), Normal(2, 5), Normal(3, 3, 1))},
		{Name: "scale by row", Op: "LayerNormalization", In: Vals(Normal(1, 4, 5), Normal(2, 4, 1), Normal(3, 4, 5))},
		{Name: "many rows", Op: "LayerNormalization", In: Vals(Normal(1, 900, 40), Normal(2, 40), Normal(3, 40))},
		{Name: "statistics", Op: "LayerNormalization", Attrs: at("stash_type", stash), In: Vals(Normal(1, 3, 6), Normal(2, 6)), Outs: 3, Only64: true},
	})
}
