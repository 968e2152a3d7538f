package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXGatherGrad(t *testing.T) {
	one := onnx.NewAttrs("axis", 1)
	Run(t, []Case{
		{Domain: "x", Op: "GatherGrad", Opset: 1, In: Vals(F32([]int{3, 2}, 1, 2, 3, 4, 5, 6), I64([]int{2}, 4, 2), I64([]int{3}, 1, -1, 1)), Want: Vals(F32([]int{4, 2}, 0, 0, 6, 8, 0, 0, 3, 4))},
		{Domain: "x", Op: "GatherGrad", Opset: 1, Attrs: one, In: Vals(F64([]int{2, 2}, 1, 2, 3, 4), I64([]int{2}, 2, 3), I64([]int{2}, 2, 2)), Want: Vals(F64([]int{2, 3}, 0, 0, 3, 0, 0, 7))},
		{Domain: "x", Op: "GatherGrad", Opset: 1, Attrs: one, In: Vals(F32([]int{2}, 1, 2), I64([]int{2}, 2, 2), Of([]int{}, int32(0))), Want: Vals(F32([]int{2, 2}, 1, 0, 2, 0))},
		{Domain: "x", Op: "GatherGrad", Opset: 1, In: Vals(F32([]int{0, 2}), I64([]int{2}, 1, 2), I64([]int{0})), Want: Vals(F32([]int{1, 2}, 0, 0))},
		{Domain: "x", Op: "GatherGrad", Opset: 1, In: Vals(Of([]int{2}, tensor.F16Of(1), tensor.F16Of(2)), I64([]int{1}, 2), I64([]int{2}, 0, 0)), Want: Vals(Of([]int{2}, tensor.F16Of(3), tensor.F16Of(0)))},
		{Domain: "x", Op: "GatherGrad", Opset: 1, In: Vals(F32([]int{1}, 1), I64([]int{1}, 2), I64([]int{1}, 2)), Want: Vals(F32([]int{2}, 0, 0)), Err: "index 2 is not in"},
		{Domain: "x", Op: "GatherGrad", Opset: 1, In: Vals(F32([]int{2}, 1, 2), I64([]int{1}, 2), I64([]int{1}, 1)), Want: Vals(F32([]int{2}, 0, 0)), Err: "want [1]"},
	})
}

func BenchmarkXGatherGrad(b *testing.B) {
	const rows, width, n = 10000, 128, 3200
	d, idx := tensor.New(tensor.Float32, n, width), tensor.New(tensor.Int64, n)
	for i := range tensor.Data[int64](idx) {
		tensor.Data[int64](idx)[i] = int64(i * 7919 % rows)
	}
	in := Vals(d, I64([]int{2}, rows, width), idx)
	c := Case{Domain: "x", Op: "GatherGrad", Opset: 1, In: in, Want: Vals(tensor.New(tensor.Float32, rows, width))}
	node := Node(c, nil)
	for b.Loop() {
		if _, err := ops.Eval(par.P{Threads: 2}, node, in, ops.BuildEnv{}); err != nil {
			b.Fatal(err)
		}
	}
}
