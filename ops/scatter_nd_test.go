package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestScatterND(t *testing.T) {
	x := I64(nil, 1, 2, 3, 4)
	m := I64([]int{2, 2}, 1, 2, 3, 4)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "ScatterND", In: Vals(x, I64([]int{2, 1}, 3, -3), I64(nil, 9, 8)), Want: Vals(I64(nil, 1, 8, 3, 9))},
		{Op: "ScatterND", Opset: 11, In: Vals(m, I64([]int{1, 1}, 1), I64([]int{1, 2}, 7, 8)), Want: Vals(I64([]int{2, 2}, 1, 2, 7, 8))},
		{Op: "ScatterND", In: Vals(m, I64([]int{2}, 0, 1), I64([]int{}, 7)), Want: Vals(I64([]int{2, 2}, 1, 7, 3, 4))},
		{Op: "ScatterND", Attrs: a("reduction", "add"), In: Vals(x, I64([]int{2, 1}, 1, 1), I64(nil, 9, 8)), Want: Vals(I64(nil, 1, 19, 3, 4))},
		{Op: "ScatterND", Attrs: a("reduction", "mul"), In: Vals(x, I64([]int{2, 1}, 1, 1), I64(nil, 9, 8)), Want: Vals(I64(nil, 1, 144, 3, 4))},
		{Op: "ScatterND", Attrs: a("reduction", "max"), In: Vals(m, I64([]int{1, 1}, 0), I64([]int{1, 2}, 0, 5)), Want: Vals(I64([]int{2, 2}, 1, 5, 3, 4))},
		{Op: "ScatterND", Attrs: a("reduction", "min"), In: Vals(m, I64([]int{1, 1}, 0), I64([]int{1, 2}, 0, 5)), Want: Vals(I64([]int{2, 2}, 0, 2, 3, 4))},
		{Op: "ScatterND", In: Vals(x, I64([]int{0, 1}), I64([]int{0})), Want: Vals(x)},
		{Op: "ScatterND", In: Vals(x, I64([]int{1, 1}, 4), I64(nil, 9)), Want: Vals(x), Err: "index 4 is not in [-4, 3]"},
		{Op: "ScatterND", In: Vals(x, I64([]int{1, 1}, 0), I64(nil, 9, 9)), Want: Vals(x), Err: "updates has shape [2], want [1]"},
		{Op: "ScatterND", In: Vals(x, I64([]int{1, 2}, 0, 0), I64(nil, 9)), Want: Vals(x), Err: "tuples of 2"},
	})
}

func TestScatterNDGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "ScatterND", Attrs: onnx.NewAttrs("reduction", "none"), In: Vals(Normal(1, 3, 4), I64([]int{2, 1}, 1, 0), Normal(2, 2, 4))},
		{Op: "ScatterND", Attrs: onnx.NewAttrs("reduction", "add"), In: Vals(Normal(1, 3, 4), I64([]int{2, 1}, 1, 1), Normal(2, 2, 4))},
		{Op: "ScatterND", Attrs: onnx.NewAttrs("reduction", "mul"), In: Vals(Normal(1, 3, 4), I64([]int{2, 1}, 1, 1), Normal(2, 2, 4))},
		{Op: "ScatterND", Attrs: onnx.NewAttrs("reduction", "mul"), In: Vals(F64([]int{3, 4}, 0, 2, 0, 4, 5, 0, 7, 8, 9, 1, 2, 3), I64([]int{2, 1}, 1, 1), F64([]int{2, 4}, 3, 0, 0, 2, 1, 2, 0, 3))},
		{Op: "ScatterND", Attrs: onnx.NewAttrs("reduction", "max"), In: Vals(Distinct(1, -2, 0.3, 3, 4), I64([]int{2, 1}, 1, 1), Distinct(2, -2.1, 0.7, 2, 4))},
		{Op: "ScatterND", Attrs: onnx.NewAttrs("reduction", "min"), In: Vals(Distinct(1, -2, 0.3, 3, 4), I64([]int{2, 1}, 1, 1), Distinct(2, -2.1, 0.7, 2, 4))},
	})
}
