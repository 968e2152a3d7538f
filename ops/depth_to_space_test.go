package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestDepthToSpace(t *testing.T) {
	x := I64([]int{1, 8, 1, 2}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "DepthToSpace", Attrs: a("blocksize", 2), In: Vals(x), Want: Vals(I64([]int{1, 2, 2, 4}, 0, 4, 1, 5, 8, 12, 9, 13, 2, 6, 3, 7, 10, 14, 11, 15))},
		{Op: "DepthToSpace", Opset: 1, Attrs: a("blocksize", 1), In: Vals(x), Want: Vals(x)},
		{Op: "DepthToSpace", Attrs: a("blocksize", 2, "mode", "CRD"), In: Vals(x), Want: Vals(I64([]int{1, 2, 2, 4}, 0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15))},
		{Op: "DepthToSpace", Attrs: a("blocksize", 3), In: Vals(x), Want: Vals(x), Err: "multiple of 9"},
		{Op: "DepthToSpace", In: Vals(x), Want: Vals(x), Err: "blocksize"},
		{Op: "DepthToSpace", Attrs: a("blocksize", 2), In: Vals(I64(nil, 1)), Want: Vals(x), Err: "4"},
	})
}

func TestDepthToSpaceGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "DepthToSpace", Attrs: onnx.NewAttrs("blocksize", 2), In: Vals(Normal(1, 2, 8, 2, 3))},
		{Op: "DepthToSpace", Attrs: onnx.NewAttrs("blocksize", 2, "mode", "CRD"), In: Vals(Normal(1, 2, 8, 2, 3))},
	})
}
