package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestTrilu(t *testing.T) {
	x := I64([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "Trilu", In: Vals(x), Want: Vals(I64([]int{2, 3}, 1, 2, 3, 0, 5, 6))},
		{Op: "Trilu", In: Vals(x, I64([]int{}, 1)), Want: Vals(I64([]int{2, 3}, 0, 2, 3, 0, 0, 6))},
		{Op: "Trilu", In: Vals(x, I64([]int{}, -1)), Want: Vals(x)},
		{Op: "Trilu", Attrs: a("upper", 0), In: Vals(x), Want: Vals(I64([]int{2, 3}, 1, 0, 0, 4, 5, 0))},
		{Op: "Trilu", Attrs: a("upper", 0), In: Vals(x, I64([]int{1}, -1)), Want: Vals(I64([]int{2, 3}, 0, 0, 0, 4, 0, 0))},
		{Op: "Trilu", In: Vals(x, I64([]int{}, math.MaxInt64)), Want: Vals(I64([]int{2, 3}, 0, 0, 0, 0, 0, 0))},
		{Op: "Trilu", Attrs: a("upper", 0), In: Vals(x, I64([]int{}, math.MaxInt64)), Want: Vals(x)},
		{Op: "Trilu", In: Vals(F32([]int{2, 1, 2}, 1, 2, 3, 4), I64([]int{}, 1)), Want: Vals(F32([]int{2, 1, 2}, 0, 2, 0, 4))},
		{Op: "Trilu", In: Vals(F32([]int{2, 0})), Want: Vals(F32([]int{2, 0}))},
		{Op: "Trilu", In: Vals(I64(nil, 1)), Want: Vals(x), Err: "at least 2"},
	})
}

func TestTriluGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Trilu", In: Vals(Normal(1, 2, 3, 4))},
		{Op: "Trilu", Attrs: onnx.NewAttrs("upper", 0), In: Vals(Normal(1, 4, 3), I64([]int{}, 1))},
	})
}
