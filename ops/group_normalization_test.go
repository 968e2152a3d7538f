package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestGroupNormalization(t *testing.T) {
	x, s, b := wave(48, 1), wave(4, 2), wave(4, 3)
	shape := []int{2, 4, 3, 2}
	norm, _, _ := naiveNormRows(x, 12, 1e-5, true, nil, nil)
	perChannel, perGroup := make([]float32, 48), make([]float32, 48)
	for i, v := range norm {
		perChannel[i] = v*s[i/6%4] + b[i/6%4]
		perGroup[i] = v*s[i/12%2] + b[i/12%2]
	}
	g := onnx.NewAttrs("num_groups", 2)
	Run(t, []Case{
		{Op: "GroupNormalization", In: Vals(F32(shape, x...), F32([]int{4}, s...), F32([]int{4}, b...)), Attrs: g.Set("stash_type", 1), Want: Vals(F32(shape, perChannel...)), Tol: close5},
		{Op: "GroupNormalization", Opset: 18, In: Vals(F32(shape, x...), F32([]int{2}, s[:2]...), F32([]int{2}, b[:2]...)), Attrs: g, Want: Vals(F32(shape, perGroup...)), Tol: close5},
		{Op: "GroupNormalization", In: Vals(F32(shape, x...), F32([]int{4}, s...), F32([]int{4}, b...)), Attrs: onnx.NewAttrs("num_groups", 3), Want: Vals(F32(shape, x...)), Err: "4 channels are not a multiple of num_groups 3"},
		{Op: "GroupNormalization", In: Vals(F32(shape, x...), F32([]int{4}, s...), F32([]int{4}, b...)), Want: Vals(F32(shape, x...)), Err: "\"num_groups\" is 0"},
	})
}

func TestGroupNormalizationGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "GroupNormalization", Attrs: onnx.NewAttrs("num_groups", 2), In: Vals(Normal(1, 2, 4, 3, 2), Normal(2, 4), Normal(3, 4))},
		{Op: "GroupNormalization", Attrs: onnx.NewAttrs("num_groups", 2), In: Vals(Normal(1, 3, 6), Normal(2, 6), Normal(3, 6))},
		{Name: "empty batch", Op: "GroupNormalization", Attrs: onnx.NewAttrs("num_groups", 2), In: Vals(Normal(1, 0, 4, 3, 2), Normal(2, 4), Normal(3, 4))},
	})
}
