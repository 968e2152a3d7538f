package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestCumProd(t *testing.T) {
	x := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)
	a := onnx.NewAttrs
	Run(t, []Case{
		{Op: "CumProd", In: Vals(x, I64([]int{}, 1)), Want: Vals(F32([]int{2, 3}, 1, 2, 6, 4, 20, 120))},
		{Op: "CumProd", Attrs: a("exclusive", 1), In: Vals(x, I64([]int{}, 1)), Want: Vals(F32([]int{2, 3}, 1, 1, 2, 1, 4, 20))},
		{Op: "CumProd", Attrs: a("reverse", 1, "exclusive", 1), In: Vals(I32([]int{3}, 2, 3, 4), I32([]int{}, 0)), Want: Vals(I32([]int{3}, 12, 4, 1))},
		{Op: "CumProd", In: Vals(x, I64([]int{}, -3)), Want: Vals(x), Err: "axis -3"},
	})
}

func TestCumProdGradient(t *testing.T) {
	zeros := Normal(2, 3, 4)
	tensor.Data[float64](zeros)[1], tensor.Data[float64](zeros)[6], tensor.Data[float64](zeros)[7] = 0, 0, 0
	for _, x := range []*tensor.Tensor{Normal(1, 3, 4), zeros} {
		Gradients(t, []GradCase{
			{Op: "CumProd", In: Vals(x, I64([]int{}, 1))},
			{Op: "CumProd", Attrs: onnx.NewAttrs("exclusive", 1), In: Vals(x, I64([]int{}, 0))},
			{Op: "CumProd", Attrs: onnx.NewAttrs("reverse", 1), In: Vals(x, I64([]int{}, 1))},
			{Op: "CumProd", Attrs: onnx.NewAttrs("reverse", 1, "exclusive", 1), In: Vals(x, I64([]int{}, 0))},
		})
	}
}
