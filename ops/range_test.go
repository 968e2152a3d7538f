package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestRange(t *testing.T) {
	i := func(v int64) *tensor.Tensor { return tensor.Scalar(v) }
	f := func(v float32) *tensor.Tensor { return tensor.Scalar(v) }
	h := func(v float32) *tensor.Tensor { return tensor.Scalar(tensor.F16Of(v)) }
	Run(t, []Case{
		{Op: "Range", In: Vals(i(3), i(9), i(3)), Want: Vals(I64(nil, 3, 6))},
		{Op: "Range", Opset: 11, In: Vals(i(10), i(4), i(-2)), Want: Vals(I64(nil, 10, 8, 6))},
		{Op: "Range", In: Vals(i(0), i(-4), i(1)), Want: Vals(I64([]int{0}))},
		{Op: "Range", In: Vals(f(1), f(2), f(0.25)), Want: Vals(F32([]int{4}, 1, 1.25, 1.5, 1.75))},
		{Op: "Range", In: Vals(h(0), h(2), h(0.5)), Want: Vals(Of([]int{4}, tensor.F16Of(0), tensor.F16Of(0.5), tensor.F16Of(1), tensor.F16Of(1.5)))},
		{Op: "Range", In: Vals(Of([]int{}, int16(1)), Of([]int{}, int16(4)), Of([]int{}, int16(1))), Want: Vals(Of([]int{3}, int16(1), 2, 3))},
		{Op: "Range", In: Vals(i(0), i(3), i(0)), Want: Vals(i(0)), Err: "delta is 0"},
		{Op: "Range", In: Vals(i(math.MinInt64), i(math.MaxInt64), i(1)), Want: Vals(i(0)), Err: "impossible size"},
		{Op: "Range", In: Vals(f(0), f(float32(math.NaN())), f(1)), Want: Vals(i(0)), Err: "impossible size"},
		{Op: "Range", In: Vals(i(0), f(1), i(1)), Want: Vals(i(0)), Err: "input 1 is float32"},
		{Op: "Range", Attrs: onnx.NewAttrs("stash_type", 10), In: Vals(f(0), f(1), f(1)), Want: Vals(i(0)), Err: "stash_type"},
	})
}

func TestGradientOfRange(t *testing.T) {
	f := func(v float64) *tensor.Tensor { return F64([]int{}, v) }
	Gradients(t, []GradCase{
		{Op: "Range", In: Vals(f(1.5), f(4.2), f(0.4)), Flat: []int{1}},
		{Op: "Range", In: Vals(f(1.5), f(-4.2), f(-0.4)), Flat: []int{1}},
		{Op: "Range", In: Vals(f(5), f(4), f(0.4)), Flat: []int{1}},
		{Op: "Range", Domain: "com.microsoft", Opset: 1, In: Vals(f(1.5), f(4.2)), Flat: []int{1}},
	})
}
