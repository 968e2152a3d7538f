package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMomentum(t *testing.T) {
	tol := tensor.Tolerance{Rel: 1e-6, Abs: math.SmallestNonzeroFloat32}
	attrs := func(mode string) onnx.Attrs {
		return onnx.NewAttrs("alpha", 0.5, "beta", 0.25, "norm_coefficient", 2.0, "mode", mode)
	}
	// G' = 2*3 + 1 = 7; V = 0.5*8 + 0.25*7 = 5.75 (T > 0) or 4 + 7 = 11.
	in := func(n int64) []tensor.Value {
		return Vals(F64([]int{}, 0.5), I64([]int{}, n), F64([]int{1}, 3), F64([]int{1}, 1), F64([]int{1}, 8))
	}
	Run(t, []Case{
		{Domain: "ai.onnx.preview.training", Op: "Momentum", Attrs: attrs("standard"), In: in(1), Want: Vals(F64([]int{1}, 3-0.5*5.75), F64([]int{1}, 5.75)), Tol: tol},
		{Domain: "ai.onnx.preview.training", Op: "Momentum", Attrs: attrs("standard"), In: in(0), Want: Vals(F64([]int{1}, 3-0.5*11), F64([]int{1}, 11)), Tol: tol},
		{Domain: "ai.onnx.preview.training", Op: "Momentum", Attrs: attrs("nesterov"), In: in(1), Want: Vals(F64([]int{1}, 3-0.5*(7+0.5*5.75)), F64([]int{1}, 5.75)), Tol: tol},
		{Domain: "ai.onnx.preview.training", Op: "Momentum", Attrs: attrs("other"), In: in(1), Want: in(1)[:2], Err: "mode"},
		{Domain: "ai.onnx.preview.training", Op: "Momentum", In: in(1), Want: in(1)[:2], Err: "\"alpha\" is missing"},
	})
}
