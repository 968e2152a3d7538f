package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestFusedConv(t *testing.T) {
	x, w, b := F32([]int{1, 1, 3}, 1, -2, 3), F32([]int{1, 1, 2}, 1, 1), F32([]int{1}, 0.5)
	z := F32([]int{1, 1, 2}, 10, -10)
	at := func(v ...any) onnx.Attrs { return onnx.NewAttrs(v...) }
	cases := []Case{
		{In: Vals(x, w, b), Want: Vals(F32([]int{1, 1, 2}, -0.5, 1.5))},
		{Attrs: at("activation", "Relu"), In: Vals(x, w, b), Want: Vals(F32([]int{1, 1, 2}, 0, 1.5))},
		{Attrs: at("activation", "Relu"), In: Vals(x, w, b, z), Want: Vals(F32([]int{1, 1, 2}, 9.5, 0))},
		{Attrs: at("activation", "LeakyRelu", "activation_params", []float64{0.5}), In: Vals(x, w, nil, z), Want: Vals(F32([]int{1, 1, 2}, 9, -4.5))},
		{Attrs: at("activation", "Clip", "activation_params", []float64{0, 6}), In: Vals(x, w, b, z), Want: Vals(F32([]int{1, 1, 2}, 6, 0))},
		{In: Vals(x, w, b, x), Want: Vals(x), Err: "Z is float32 [1 1 3]"},
	}
	for i := range cases {
		cases[i].Domain, cases[i].Op = "com.microsoft", "FusedConv"
	}
	Run(t, cases)
}
