package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMsQuickGelu(t *testing.T) {
	f := func(x, alpha float64) float32 { return float32(x / (1 + math.Exp(-alpha*x))) }
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QuickGelu", In: Vals(F32([]int{2}, 1, -2)), Want: Vals(F32([]int{2}, f(1, 1.702), f(-2, 1.702))), Tol: tensor.Tolerance{Rel: 1e-6}},
		{Domain: "com.microsoft", Op: "QuickGelu", Attrs: onnx.NewAttrs("alpha", 0.5), In: Vals(F32([]int{2}, 1, -2)), Want: Vals(F32([]int{2}, f(1, 0.5), f(-2, 0.5))), Tol: tensor.Tolerance{Rel: 1e-6}},
	})
}

func TestMSQuickGeluGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Domain: "com.microsoft", Opset: 1, Op: "QuickGelu", In: Vals(Normal(1, 3, 4))},
		{Domain: "com.microsoft", Opset: 1, Op: "QuickGelu", Attrs: onnx.NewAttrs("alpha", float32(0.5)), In: Vals(Normal(1, 3, 4))},
	})
}
