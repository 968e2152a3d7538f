package ops_test

import (
	"fmt"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestCumSum(t *testing.T) {
	x := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	a := onnx.NewAttrs
	ax := func(i int64) *tensor.Tensor { return tensor.Scalar(i) }
	wide := iota32(3, 100)
	want := iota32(3, 100)
	w := tensor.Data[float32](want)
	for i := 100; i < 300; i++ {
		w[i] += w[i-100]
	}
	Run(t, []Case{
		{Op: "CumSum", In: Vals(x, ax(1)), Want: Vals(F32([]int{2, 3}, 1, 3, 6, 4, 9, 15))},
		{Op: "CumSum", Opset: 11, In: Vals(x, I32([]int{1}, 0)), Want: Vals(F32([]int{2, 3}, 1, 2, 3, 5, 7, 9))},
		{Op: "CumSum", Attrs: a("exclusive", 1), In: Vals(x, ax(-1)), Want: Vals(F32([]int{2, 3}, 0, 1, 3, 0, 4, 9))},
		{Op: "CumSum", Attrs: a("reverse", 1), In: Vals(x, ax(1)), Want: Vals(F32([]int{2, 3}, 6, 5, 3, 15, 11, 6))},
		{Op: "CumSum", Attrs: a("reverse", 1, "exclusive", 1), In: Vals(I64(nil, 1, 2, 3), ax(0)), Want: Vals(I64(nil, 5, 3, 0))},
		{Op: "CumSum", In: Vals(wide, ax(0)), Want: Vals(want)},
		{Op: "CumSum", In: Vals(Of([]int{2}, tensor.F16Of(1), tensor.F16Of(0.5)), ax(0)), Want: Vals(Of([]int{2}, tensor.F16Of(1), tensor.F16Of(1.5)))},
		{Op: "CumSum", In: Vals(F32([]int{0, 2}), ax(0)), Want: Vals(F32([]int{0, 2}))},
		{Op: "CumSum", In: Vals(x, ax(2)), Want: Vals(x), Err: "axis 2 is not in [-2, 1]"},
		{Op: "CumSum", In: Vals(Of([]int{1}, true), ax(0)), Want: Vals(x), Err: "element type bool"},
	})
}

func TestCumSumGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "CumSum", In: Vals(Normal(1, 3, 4), I64([]int{}, 1))},
		{Op: "CumSum", Attrs: onnx.NewAttrs("exclusive", 1), In: Vals(Normal(1, 3, 4), I64([]int{}, 0))},
		{Op: "CumSum", Attrs: onnx.NewAttrs("reverse", 1), In: Vals(Normal(1, 3, 4), I64([]int{}, 1))},
	})
}

// TestCumSumLines sums up lines and columns of all lengths, some at a time and the rest.
func TestCumSumLines(t *testing.T) {
	for _, shape := range [][]int{{1, 7}, {4, 3}, {7, 5}, {9, 1}, {5, 70}, {2, 3, 65}} {
		n := 1
		for _, d := range shape {
			n *= d
		}
		x := make([]int, n)
		for i := range x {
			x[i] = i*i%23 - 9
		}
		for axis, steps := len(shape)-1, 1; axis >= 0; axis-- {
			length := shape[axis]
			for _, exclusive := range []int{0, 1} {
				for _, reverse := range []int{0, 1} {
					want := make([]int, n)
					for i := range x {
						at := i / steps % length
						for k := range length {
							if k == at && exclusive == 0 || k < at && reverse == 0 || k > at && reverse == 1 {
								want[i] += x[i+(k-at)*steps]
							}
						}
					}
					a := onnx.NewAttrs("exclusive", exclusive, "reverse", reverse)
					name := fmt.Sprint(shape, axis, exclusive, reverse)
					ax := tensor.Scalar(int64(axis))
					Run(t, []Case{
						{Name: name, Op: "CumSum", Attrs: a, In: Vals(numbersOf[float32](shape, x), ax), Want: Vals(numbersOf[float32](shape, want))},
						{Name: name, Op: "CumSum", Attrs: a, In: Vals(numbersOf[float64](shape, x), ax), Want: Vals(numbersOf[float64](shape, want))},
						{Name: name, Op: "CumSum", Attrs: a, In: Vals(numbersOf[int32](shape, x), ax), Want: Vals(numbersOf[int32](shape, want))},
						{Name: name, Op: "CumSum", Attrs: a, In: Vals(numbersOf[int64](shape, x), ax), Want: Vals(numbersOf[int64](shape, want))},
					})
				}
			}
			steps *= length
		}
	}
}

func numbersOf[T float32 | float64 | int32 | int64](shape, v []int) *tensor.Tensor {
	out := make([]T, len(v))
	for i, x := range v {
		out[i] = T(x)
	}
	return Of(shape, out...)
}
