package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestEyeLike(t *testing.T) {
	x := I32([]int{2, 3}, 0, 0, 0, 0, 0, 0)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "EyeLike", In: Vals(x), Want: Vals(I32([]int{2, 3}, 1, 0, 0, 0, 1, 0))},
		{Op: "EyeLike", Opset: 9, Attrs: a("k", 1, "dtype", tensor.Float32), In: Vals(x), Want: Vals(F32([]int{2, 3}, 0, 1, 0, 0, 0, 1))},
		{Op: "EyeLike", Attrs: a("k", -1, "dtype", tensor.Float16), In: Vals(x), Want: Vals(Of([]int{2, 3}, tensor.F16(0), 0, 0, 0x3c00, 0, 0))},
		{Op: "EyeLike", Attrs: a("k", math.MinInt), In: Vals(x), Want: Vals(x)},
		{Op: "EyeLike", Attrs: a("k", 3), In: Vals(x), Want: Vals(x)},
		{Op: "EyeLike", In: Vals(F32([]int{0, 2})), Want: Vals(F32([]int{0, 2}))},
		{Op: "EyeLike", In: Vals(F32([]int{1}, 1)), Want: Vals(x), Err: "want 2"},
		{Op: "EyeLike", Attrs: a("dtype", tensor.String), In: Vals(x), Want: Vals(x), Err: "element type string"},
	})
}
