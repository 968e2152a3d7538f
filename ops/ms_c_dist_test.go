package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestCDist(t *testing.T) {
	a, b := F32([]int{2, 5}, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5), F32([]int{3, 5}, 1, 2, 3, 4, 5, 0, 3, 0, 4, 0, 0, 0, 0, 0, 2)
	const ms = "com.microsoft"
	Run(t, []Case{
		{Op: "CDist", Domain: ms, In: Vals(a, b), Want: Vals(F32([]int{2, 3}, 55, 25, 4, 0, 36, 39))},
		{Op: "CDist", Domain: ms, Attrs: onnx.NewAttrs("metric", "euclidean"), In: Vals(F64([]int{1, 2}, 0, 0), F64([]int{2, 2}, 3, 4, 0, 2)), Want: Vals(F64([]int{1, 2}, 5, 2))},
		{Op: "CDist", Domain: ms, In: Vals(F32([]int{0, 2}), F32([]int{1, 2}, 1, 2)), Want: Vals(F32([]int{0, 1}))},
		{Op: "CDist", Domain: ms, Attrs: onnx.NewAttrs("metric", "cosine"), In: Vals(a, b), Want: Vals(a), Err: "metric"},
		{Op: "CDist", Domain: ms, In: Vals(a, F32([]int{1, 2}, 1, 2)), Want: Vals(a), Err: "rows of the same"},
	})
}
