package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXActivationGrad(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	act := func(f string, g, v, want tensor.Value, kv ...any) Case {
		return Case{Domain: "x", Op: "ActivationGrad", Opset: 1, Attrs: onnx.NewAttrs(append([]any{"f", f}, kv...)...), In: Vals(g, v), Want: Vals(want)}
	}
	g := F32([]int{5}, 2, inf, 3, inf, 5)
	v := F32([]int{5}, -1, 0, 2, float32(math.Copysign(0, -1)), nan)
	far := F32([]int{2}, -inf, inf)
	one := F32([]int{2}, 1, 1)
	cases := []Case{
		act("Relu", g, v, F32([]int{5}, 0, 0, 3, 0, 5)),
		act("Relu", F64([]int{3}, 2, 3, 4), F64([]int{3}, 0, 1, 2), F64([]int{3}, 0, 3, 4)),
		act("LeakyRelu", F32([]int{3}, 2, 3, 4), F32([]int{3}, -1, 0, 1), F32([]int{3}, 1, 1.5, 4), "alpha", float32(0.5)),
		act("Sigmoid", one, F32([]int{2}, 0.5, 1), F32([]int{2}, 0.25, 0)),
		act("Tanh", one, F32([]int{2}, 0.5, 1), F32([]int{2}, 0.75, 0)),
		act("Elu", F32([]int{2}, 1, 3), F32([]int{2}, -inf, inf), F32([]int{2}, 0, 3), "alpha", float32(2)),
		act("HardSwish", F32([]int{5}, 1, 1, 1, 1, 1), F32([]int{5}, -4, -3, 0, 3, 4), F32([]int{5}, 0, 0, 0.5, 1.5, 1)),
		act("Shrink", F32([]int{3}, 7, 7, 7), F32([]int{3}, -1, 0.5, 1), F32([]int{3}, 7, 0, 7), "alpha", float32(0.5)),
		act("Relu", Of([]int{2}, tensor.F16Of(3), tensor.F16Of(4)), Of([]int{2}, tensor.F16Of(-1), tensor.F16Of(1)), Of([]int{2}, tensor.F16Of(0), tensor.F16Of(4))),
		act("Relu", F32([]int{0, 3}), F32([]int{0, 3}), F32([]int{0, 3})),
		{Domain: "x", Op: "ActivationGrad", Opset: 1, Attrs: onnx.NewAttrs("f", "Relu"), In: Vals(one, F32([]int{1}, 1)), Want: Vals(one), Err: "want the same"},
		{Domain: "x", Op: "ActivationGrad", Opset: 1, Attrs: onnx.NewAttrs("f", "Sin"), In: Vals(one, one), Want: Vals(one), Err: "no activation"},
		{Domain: "x", Op: "ActivationGrad", Opset: 1, Attrs: onnx.NewAttrs("f", "Relu"), In: Vals(one, F64([]int{2}, 1, 1)), Want: Vals(one), Err: "float64"},
	}
	for _, f := range []string{"Gelu", "GeluTanh", "Swish", "Mish", "Softplus"} { // 0 and 1 at the far ends, not NaN
		cases = append(cases, act(f, one, far, F32([]int{2}, 0, 1), "alpha", float32(1)))
	}
	Run(t, cases)
}
