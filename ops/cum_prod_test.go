package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestCumProd(t *testing.T) {
	x := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "CumProd", In: Vals(x, I64([]int{}, 1)), Want: Vals(F32([]int{2, 3}, 1, 2, 6, 4, 20, 120))},
		{Op: "CumProd", Attrs: a("exclusive", 1), In: Vals(x, I64([]int{}, 1)), Want: Vals(F32([]int{2, 3}, 1, 1, 2, 1, 4, 20))},
		{Op: "CumProd", Attrs: a("reverse", 1, "exclusive", 1), In: Vals(I32([]int{3}, 2, 3, 4), I32([]int{}, 0)), Want: Vals(I32([]int{3}, 12, 4, 1))},
		{Op: "CumProd", In: Vals(x, I64([]int{}, -3)), Want: Vals(x), Err: "axis -3"},
	})
}
