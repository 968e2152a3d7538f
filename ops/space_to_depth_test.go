package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestSpaceToDepth(t *testing.T) {
	x := I64([]int{1, 8, 1, 2}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "SpaceToDepth", Attrs: a("blocksize", 2), In: Vals(I64([]int{1, 2, 2, 4}, 0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15)), Want: Vals(x)},
		{Op: "SpaceToDepth", Opset: 1, Attrs: a("blocksize", 1), In: Vals(x), Want: Vals(x)},
		{Op: "SpaceToDepth", Attrs: a("blocksize", 2, "mode", "CRD"), In: Vals(I64([]int{1, 2, 2, 4}, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15)), Want: Vals(x)},
		{Op: "SpaceToDepth", Attrs: a("blocksize", 2), In: Vals(x), Want: Vals(x), Err: "multiples of 2"},
		{Op: "SpaceToDepth", Attrs: a("blocksize", -1), In: Vals(x), Want: Vals(x), Err: "blocksize"},
	})
}

func TestSpaceToDepthGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "SpaceToDepth", Attrs: onnx.NewAttrs("blocksize", 2), In: Vals(Normal(1, 2, 3, 4, 6))},
	})
}
