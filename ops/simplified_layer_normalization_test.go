package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestSimplifiedLayerNormalization(t *testing.T) {
	x, s := wave(24, 1), wave(4, 2)
	shape := []int{2, 3, 4}
	y, _, v := naiveNormRows(x, 4, 1e-6, false, s, nil)
	Run(t, []Case{
		{Op: "SimplifiedLayerNormalization", In: Vals(F32(shape, x...), F32([]int{4}, s...)), Attrs: onnx.NewAttrs("epsilon", 1e-6, "axis", -1, "stash_type", 1),
			Want: Vals(F32(shape, y...), F32([]int{2, 3, 1}, v...)), Tol: close5},
		{Op: "SimplifiedLayerNormalization", In: Vals(F32(shape, x...), F32([]int{5}, 1, 2, 3, 4, 5)), Want: Vals(F32(shape, y...)), Err: "Scale has shape [5]"},
	})
}
