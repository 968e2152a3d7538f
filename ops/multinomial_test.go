package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMultinomial(t *testing.T) {
	never := float32(math.Inf(-1))
	Run(t, []Case{
		{Op: "Multinomial", Opset: 7, Attrs: onnx.NewAttrs("sample_size", 3), In: Vals(F32([]int{2, 3}, never, 5, never, never, never, -2)), Want: Vals(I32([]int{2, 3}, 1, 1, 1, 2, 2, 2))},
		{Op: "Multinomial", Attrs: onnx.NewAttrs("dtype", tensor.Int64), In: Vals(F64([]int{1, 1}, 0)), Want: Vals(I64([]int{1, 1}, 0))},
		{Op: "Multinomial", In: Vals(F32([]int{2}, 0, 1)), Want: Vals(I32([]int{1}, 0)), Err: "want [batch_size, class_size]"},
		{Op: "Multinomial", In: Vals(F32([]int{1, 1}, never)), Want: Vals(I32([]int{1}, 0)), Err: "want a finite number"},
		{Op: "Multinomial", Attrs: onnx.NewAttrs("sample_size", 0), In: Vals(F32([]int{1, 1}, 0)), Want: Vals(I32([]int{1}, 0)), Err: "want a positive number"},
	})
	c := Case{Op: "Multinomial", Attrs: onnx.NewAttrs("sample_size", 20000), In: Vals(F32([]int{1, 2}, 0, float32(math.Log(3))))}
	out, err := ops.Eval(par.P{}, Node(Case{Op: c.Op, Attrs: c.Attrs, In: c.In, Want: c.In}, nil), c.In, ops.BuildEnv{})
	if err != nil {
		t.Fatal(err)
	}
	ones := 0
	for _, v := range tensor.Data[int32](out[0].(*tensor.Tensor)) {
		ones += int(v)
	}
	if ones < 14600 || ones > 15400 {
		t.Errorf("%d of 20000 samples are class 1, want about 15000", ones)
	}
}
