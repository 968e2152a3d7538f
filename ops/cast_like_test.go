package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestCastLike(t *testing.T) {
	x := F32([]int{2, 2}, 1.75, -2.5, 0, 1000)
	Run(t, []Case{
		{Op: "CastLike", In: Vals(x, I64([]int{0})), Want: Vals(I64([]int{2, 2}, 1, -2, 0, 1000))},
		{Op: "CastLike", Opset: 15, In: Vals(x, F64([]int{}, 5)), Want: Vals(F64([]int{2, 2}, 1.75, -2.5, 0, 1000))},
		{Op: "CastLike", Attrs: onnx.NewAttrs("saturate", 0), In: Vals(F32([]int{1}, 1000), Of([]int{1}, tensor.F8E4M3FN(0))), Want: Vals(Of([]int{1}, tensor.F8E4M3FN(0x7f)))},
		{Op: "CastLike", In: Vals(x, x), Want: Vals(x)},
		{Op: "CastLike", In: Vals(Of([]int{1}, "x"), x), Want: Vals(x), Err: "want a number"},
	})
}

func TestCastLikeGradient(t *testing.T) {
	Gradients(t, []GradCase{{Op: "CastLike", In: Vals(Normal(1, 3), Normal(2, 1)), Flat: []int{1}}})
}
