package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestXCumProdGrad(t *testing.T) {
	ax := tensor.Scalar(int64(0))
	Run(t, []Case{
		// y = x0, x0·x1, x0·x1·x2 with x1 = 0: by hand.
		{Domain: "x", Op: "CumProdGrad", Opset: 1, In: Vals(F32([]int{3}, 1, 10, 100), F32([]int{3}, 2, 0, 3), ax), Want: Vals(F32([]int{3}, 1, 620, 0))},
		{Domain: "x", Op: "CumProdGrad", Opset: 1, Attrs: onnx.NewAttrs("exclusive", 1), In: Vals(F64([]int{3}, 1, 10, 100), F64([]int{3}, 2, 0, 3), ax), Want: Vals(F64([]int{3}, 10, 200, 0))},
		{Domain: "x", Op: "CumProdGrad", Opset: 1, In: Vals(F32([]int{0, 3}), F32([]int{0, 3}), ax), Want: Vals(F32([]int{0, 3}))},
		{Domain: "x", Op: "CumProdGrad", Opset: 1, In: Vals(F32([]int{3}, 1, 2, 3), F32([]int{2}, 1, 2), ax), Want: Vals(F32(nil, 0)), Err: "want the shape of dY, [3]"},
	})
}
