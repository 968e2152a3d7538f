package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMod(t *testing.T) {
	fmod := onnx.NewAttrs("fmod", 1)
	inf, nan := math.Inf(1), math.NaN()
	a, b := []int64{-4, 7, 5, 4, -7, 8}, []int64{2, -3, 8, -2, 3, 5}
	Run(t, []Case{
		{Op: "Mod", In: Vals(I64([]int{6}, a...), I64([]int{6}, b...)), Want: Vals(I64([]int{6}, 0, -2, 5, 0, 2, 3))},
		{Op: "Mod", Attrs: fmod, In: Vals(I64([]int{6}, a...), I64([]int{6}, b...)), Want: Vals(I64([]int{6}, 0, 1, 5, 0, -1, 3))},
		{Op: "Mod", In: Vals(Of([]int{1}, int8(-128)), Of([]int{1}, int8(-1))), Want: Vals(Of([]int{1}, int8(0)))},
		{Op: "Mod", In: Vals(Of([]int{2, 1}, uint8(7), 200), Of([]int{2}, uint8(4), 9)), Want: Vals(Of([]int{2, 2}, uint8(3), 7, 0, 2))},
		{Op: "Mod", In: Vals(I64([]int{2}, 1, 2), I64([]int{2}, 1, 0)), Want: Vals(I64([]int{0})), Err: "B is 0 at element 1"},
		{Op: "Mod", Attrs: fmod, In: Vals(F32([]int{6}, -4.3, 7.2, 5, 4.3, -7.2, 8), F32([]int{6}, 2.1, -3.4, 8, -2.1, 3.4, 5)),
			Want: Vals(F32([]int{6}, -0.1, 0.4, 5, 0.1, -0.4, 3)), Tol: tensor.Tolerance{Rel: 1e-5, Abs: 1e-6}},
		{Op: "Mod", In: Vals(F64([]int{8}, -7, 7, 5, -5, inf, 1, 0, nan), F64([]int{8}, 3, -3, inf, inf, 2, 0, -2, 1)),
			Want: Vals(F64([]int{8}, 2, -2, 5, inf, nan, nan, math.Copysign(0, -1), nan))},
		{Op: "Mod", Attrs: fmod, In: Vals(F64([]int{5}, -7, 5, -5, inf, 1), F64([]int{5}, 3, inf, -inf, 2, 0)),
			Want: Vals(F64([]int{5}, -1, 5, -5, nan, nan))},
		{Op: "Mod", Attrs: onnx.NewAttrs("fmod", 2), In: Vals(F32([]int{1}, 1), F32([]int{1}, 1)), Want: Vals(F32([]int{1}, 1)), Err: "want 0 or 1"},
	})
}

func TestModGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Mod", Attrs: onnx.NewAttrs("fmod", 1), In: Vals(F64([]int{2, 3}, 5.3, -5.3, 7.1, 0.4, -0.4, 9.9), F64([]int{3}, 2.1, 2.3, -3.2))},
		{Op: "Mod", In: Vals(F64([]int{2, 3}, 5.3, -5.3, 7.1, 0.4, -0.4, 9.9), F64([]int{3}, 2.1, 2.3, -3.2))},
	})
}
