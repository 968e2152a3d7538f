package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestRMSNormalization(t *testing.T) {
	x, s := wave(24, 1), wave(4, 2)
	shape := []int{2, 3, 4}
	y, _, _ := naiveNormRows(x, 4, 1e-5, false, s, nil)
	y12, _, _ := naiveNormRows(x, 12, 0.5, false, wave(12, 3), nil)
	h, _, _ := naiveNormRows(from16(x), 4, 1e-5, false, s, nil)
	Run(t, []Case{
		{Op: "RMSNormalization", In: Vals(F32(shape, x...), F32([]int{4}, s...)), Want: Vals(F32(shape, y...)), Tol: close5},
		{Op: "RMSNormalization", In: Vals(F32(shape, x...), F32([]int{3, 4}, wave(12, 3)...)), Attrs: onnx.NewAttrs("axis", 1, "epsilon", 0.5, "stash_type", 1), Want: Vals(F32(shape, y12...)), Tol: close5},
		{Op: "RMSNormalization", In: Vals(Of(shape, to16(x)...), F32([]int{4}, s...)), Want: Vals(F32(shape, h...)), Tol: close5},
		{Op: "RMSNormalization", In: Vals(F32(shape, x...), F32([]int{2}, 1, 2)), Want: Vals(F32(shape, x...)), Err: "Scale has shape [2]"},
		{Op: "RMSNormalization", In: Vals(F32(shape, x...), F32([]int{2}, 1, 2)), Attrs: onnx.NewAttrs("stash_type", 6), Want: Vals(F32(shape, x...)), Err: "not supported"},
	})
}

func TestRMSNormalizationGradient(t *testing.T) {
	at := onnx.NewAttrs
	Gradients(t, []GradCase{
		{Op: "RMSNormalization", In: Vals(Normal(1, 4, 9), Normal(2, 9))},
		{Op: "RMSNormalization", Attrs: at("axis", 1, "epsilon", 0.01), In: Vals(Normal(1, 4, 3, 5), Normal(2, 3, 5))},
		{Op: "RMSNormalization", In: Vals(Normal(1, 4, 5), Normal(2, 4, 1))},
	})
}
