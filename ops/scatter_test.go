package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestScatter(t *testing.T) {
	x := F32([]int{1, 5}, 1, 2, 3, 4, 5)
	Run(t, []Case{
		{Op: "Scatter", Opset: 9, Attrs: onnx.NewAttrs("axis", 1), In: Vals(x, I64([]int{1, 2}, 1, 3), F32([]int{1, 2}, 10, 20)), Want: Vals(F32([]int{1, 5}, 1, 10, 3, 20, 5))},
		{Op: "Scatter", Opset: 9, Attrs: onnx.NewAttrs("reduction", "add"), In: Vals(x, I64([]int{1, 1}, 0), F32([]int{1, 1}, 1)), Want: Vals(x), Err: "reduction"},
	})
}
