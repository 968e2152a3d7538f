package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestBernoulli(t *testing.T) {
	x := F32([]int{2, 2}, 0, 1, 1, 0)
	Run(t, []Case{
		{Op: "Bernoulli", In: Vals(x), Want: Vals(x)},
		{Op: "Bernoulli", Opset: 15, Attrs: onnx.NewAttrs("dtype", tensor.Int64, "seed", 3.0), In: Vals(x), Want: Vals(I64([]int{2, 2}, 0, 1, 1, 0))},
		{Op: "Bernoulli", Attrs: onnx.NewAttrs("dtype", tensor.Bool), In: Vals(F64([]int{2}, 1, 0)), Want: Vals(Of([]int{2}, true, false))},
		{Op: "Bernoulli", In: Vals(F32([]int{2}, 1, 1.5)), Want: Vals(x), Err: "input is 1.5 at element 1"},
		{Op: "Bernoulli", In: Vals(I32([]int{1}, 1)), Want: Vals(x), Err: "not supported"},
	})
	p := make([]float32, 20000)
	for i := range p {
		p[i] = 0.25
	}
	c := Case{Op: "Bernoulli", In: Vals(F32([]int{len(p)}, p...)), Want: Vals(x)}
	out, err := ops.Eval(par.P{}, Node(c, nil), c.In, ops.BuildEnv{})
	if err != nil {
		t.Fatal(err)
	}
	sum := float32(0)
	for _, v := range tensor.Data[float32](out[0].(*tensor.Tensor)) {
		sum += v
	}
	if sum < 4600 || sum > 5400 {
		t.Errorf("%g ones, want about 5000", sum)
	}
}
