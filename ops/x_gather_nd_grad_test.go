package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestXGatherNDGrad(t *testing.T) {
	Run(t, []Case{
		{Domain: "x", Op: "GatherNDGrad", Opset: 1, In: Vals(F32([]int{3}, 1, 2, 4), I64([]int{3, 2}, 0, 1, 1, -1, 0, 1), I64([]int{2}, 2, 2)), Want: Vals(F32([]int{2, 2}, 0, 5, 0, 2))},
		{Domain: "x", Op: "GatherNDGrad", Opset: 1, In: Vals(F64([]int{1, 2}, 1, 2), I64([]int{1, 1}, 1), I64([]int{2}, 2, 2)), Want: Vals(F64([]int{2, 2}, 0, 0, 1, 2))},
		{Domain: "x", Op: "GatherNDGrad", Opset: 1, Attrs: onnx.NewAttrs("batch_dims", 1), In: Vals(F32([]int{2}, 1, 2), I64([]int{2, 1}, 1, 0), I64([]int{2}, 2, 2)), Want: Vals(F32([]int{2, 2}, 0, 1, 2, 0))},
		{Domain: "x", Op: "GatherNDGrad", Opset: 1, In: Vals(F32([]int{1}, 1), I64([]int{1, 1}, 2), I64([]int{1}, 2)), Want: Vals(F32([]int{2}, 0, 0)), Err: "index 2 is not in"},
		{Domain: "x", Op: "GatherNDGrad", Opset: 1, In: Vals(F32([]int{2}, 1, 2), I64([]int{1, 1}, 1), I64([]int{1}, 2)), Want: Vals(F32([]int{2}, 0, 0)), Err: "want [1]"},
	})
}
