package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestInstanceNormalization(t *testing.T) {
	x, s, b := wave(24, 1), wave(3, 2), wave(3, 3)
	shape := []int{2, 3, 2, 2}
	y, _, _ := naiveNormRows(x, 4, 1e-3, true, nil, nil)
	for i := range y {
		y[i] = y[i]*s[i/4%3] + b[i/4%3]
	}
	p := Vals(F32(shape, x...), F32([]int{3}, s...), F32([]int{3}, b...))
	Run(t, []Case{
		{Op: "InstanceNormalization", In: p, Attrs: onnx.NewAttrs("epsilon", 1e-3), Want: Vals(F32(shape, y...)), Tol: close5},
		{Op: "InstanceNormalization", Opset: 1, In: p, Attrs: onnx.NewAttrs("epsilon", 1e-3, "consumed_inputs", []int{0, 0, 0}), Want: Vals(F32(shape, y...)), Tol: close5},
		{Op: "InstanceNormalization", In: Vals(F32([]int{2, 3, 0}), F32([]int{3}, s...), F32([]int{3}, b...)), Want: Vals(F32([]int{2, 3, 0}))},
		{Op: "InstanceNormalization", In: Vals(F32([]int{2}, 1, 2), F32([]int{3}, s...), F32([]int{3}, b...)), Want: Vals(F32([]int{2}, 1, 2)), Err: "X has shape [2]"},
		{Op: "InstanceNormalization", In: Vals(F32(shape, x...), F32([]int{2}, 1, 2), F32([]int{3}, b...)), Want: Vals(F32(shape, x...)), Err: "scale has shape [2], want [3]"},
	})
}

func TestInstanceNormalizationGradient(t *testing.T) {
	as := onnx.NewAttrs("epsilon", 0.01)
	Gradients(t, []GradCase{
		{Op: "InstanceNormalization", Attrs: as, In: Vals(Normal(1, 2, 3, 4, 2), Normal(2, 3), Normal(3, 3))},
		{Name: "empty batch", Op: "InstanceNormalization", Attrs: as, In: Vals(Normal(1, 0, 3, 4, 2), Normal(2, 3), Normal(3, 3))},
	})
}
