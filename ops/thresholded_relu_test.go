package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestThresholdedRelu(t *testing.T) {
	f := func(x float64) float64 {
		if x > 0.5 {
			return x
		}
		return 0
	}
	v := []float64{0, -0.5, 0.25, 0.5, 0.75, 1, -1, 3.5, math.Inf(1), math.Inf(-1)}
	x32, w32 := make([]float32, len(v)), make([]float32, len(v))
	x16, w16 := make([]tensor.F16, len(v)), make([]tensor.F16, len(v))
	w64 := make([]float64, len(v))
	for i, a := range v {
		x32[i], w32[i], w64[i] = float32(a), float32(f(float64(float32(a)))), f(a)
		x16[i] = tensor.F16Of(float32(a))
		w16[i] = tensor.F16Of(float32(f(float64(x16[i].Float32()))))
	}
	x, want := F32([]int{1, len(v)}, x32...), F32([]int{1, len(v)}, w32...)
	Run(t, []Case{
		{Op: "ThresholdedRelu", Attrs: onnx.NewAttrs("alpha", 0.5), In: Vals(x), Want: Vals(want), Tol: tensor.Tolerance{Rel: 1e-6, Abs: 1e-9}},
		{Op: "ThresholdedRelu", Attrs: onnx.NewAttrs("alpha", 0.5), In: Vals(F64([]int{len(v)}, v...)), Want: Vals(F64([]int{len(v)}, w64...)), Tol: tensor.Tolerance{Rel: 1e-12, Abs: 1e-12}},
		{Op: "ThresholdedRelu", Attrs: onnx.NewAttrs("alpha", 0.5), In: Vals(Of([]int{len(v)}, x16...)), Want: Vals(Of([]int{len(v)}, w16...)), Tol: tensor.Tolerance{Rel: 2e-3, Abs: 1e-6}},
		{Op: "ThresholdedRelu", Attrs: onnx.NewAttrs("alpha", 0.5), In: Vals(F32([]int{0, 3})), Want: Vals(F32([]int{0, 3}))},
		{Op: "ThresholdedRelu", Attrs: onnx.NewAttrs("alpha", 0.5), In: Vals(F32([]int{}, x32[0])), Want: Vals(F32([]int{}, w32[0])), Tol: tensor.Tolerance{Rel: 1e-6, Abs: 1e-9}},
		{Op: "ThresholdedRelu", In: Vals(F32([]int{2}, float32(math.NaN()), float32(math.Inf(1)))), Want: Vals(F32([]int{2}, 0, float32(math.Inf(1))))},
		{Op: "ThresholdedRelu", In: Vals(F32([]int{3}, -2, 1, 2)), Want: Vals(F32([]int{3}, 0, 0, 2))},
		{Op: "ThresholdedRelu", Attrs: onnx.NewAttrs("alpha", 0.5), In: Vals(Of([]int{1}, "a")), Want: Vals(x), Err: "not supported"},
	})
	_ = math.Pi
}

func TestThresholdedReluGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ThresholdedRelu", Attrs: onnx.NewAttrs("alpha", float32(0.5)), In: Vals(F64([]int{2, 3}, -2.5, -0.7, -0.1, 0.2, 0.9, 3.7))},
	})
}
