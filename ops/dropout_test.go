package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestDropout(t *testing.T) {
	x := F32([]int{2, 2}, 1, -2, 3, -4)
	ones := Of([]int{2, 2}, true, true, true, true)
	no, yes := Of([]int{}, false), Of([]int{}, true)
	seed := onnx.NewAttrs("seed", 0)
	// NumPy: RandomState(0).uniform(0, 1, 4) is 0.5488 0.7152 0.6028 0.5449.
	Run(t, []Case{
		{Op: "Dropout", In: Vals(x), Want: Vals(x, ones)},
		{Op: "Dropout", In: Vals(x, F32([]int{}, 0.75), no), Want: Vals(x, ones)},
		{Op: "Dropout", In: Vals(x, F32([]int{}, 0), yes), Want: Vals(x, ones)},
		{Op: "Dropout", Attrs: seed, In: Vals(x, F32([]int{}, 0.546875), yes),
			Want: Vals(F32([]int{2, 2}, 1/(1-0.546875), -2/(1-0.546875), 3/(1-0.546875), 0), Of([]int{2, 2}, true, true, true, false)), Tol: tensor.Tolerance{Rel: 1e-6}},
		{Op: "Dropout", Attrs: seed, In: Vals(F64([]int{2}, 1, 2), Of([]int{}, tensor.F16Of(0.625)), yes), Want: Vals(F64([]int{2}, 0, 2/0.375))},
		{Op: "Dropout", Attrs: seed, In: Vals(tensor.New(tensor.Float32), F32([]int{}, 0.75), yes), Want: Vals(F32([]int{}, 0), Of([]int{}, false))},
		{Op: "Dropout", Opset: 12, In: Vals(x, nil, no), Want: Vals(x)},
		{Op: "Dropout", Opset: 10, Attrs: onnx.NewAttrs("ratio", 0.3), In: Vals(x), Want: Vals(x, ones)},
		{Op: "Dropout", Opset: 7, In: Vals(x), Want: Vals(x, F32([]int{2, 2}, 1, 1, 1, 1))},
		{Op: "Dropout", Opset: 6, Attrs: onnx.NewAttrs("is_test", 1, "ratio", 0.3), In: Vals(x), Want: Vals(x, F32([]int{2, 2}, 1, 1, 1, 1))},
		{Op: "Dropout", Opset: 1, Attrs: onnx.NewAttrs("ratio", 0.0, "consumed_inputs", []int{0}), In: Vals(x), Want: Vals(x)},
		{Op: "Dropout", In: Vals(x, F32([]int{}, 1), yes), Want: Vals(x), Err: "ratio is 1, want a number in [0, 1)"},
		{Op: "Dropout", In: Vals(x, F32([]int{2}, 0, 0), yes), Want: Vals(x), Err: "ratio has shape [2], want a scalar"},
		{Op: "Dropout", In: Vals(x, F32([]int{}, 0), F32([]int{}, 1)), Want: Vals(x), Err: "training_mode is float32, want bool"},
	})
}

func TestDropoutGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Dropout", Attrs: onnx.NewAttrs("seed", 3), Outs: 2, In: Vals(Normal(1, 3, 4), F32([]int{}, 0.25), Of([]int{}, true)), Flat: []int{1}},
		{Op: "Dropout", Attrs: onnx.NewAttrs("seed", 3), Outs: 2, In: Vals(Normal(1, 3, 4), nil, Of([]int{}, true))},
		{Op: "Dropout", Outs: 2, In: Vals(Normal(1, 3, 4), F32([]int{}, 0.25), Of([]int{}, false)), Flat: []int{1}},
		{Op: "Dropout", In: Vals(Normal(1, 3, 4))},
	})
}
