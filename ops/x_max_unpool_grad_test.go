package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

// Against finite differences: TestMaxUnpoolGradient.
func TestXMaxUnpoolGrad(t *testing.T) {
	as := onnx.NewAttrs("kernel_shape", []int{2}, "strides", []int{1})
	dy := F32([]int{1, 1, 3}, 10, 20, 30)
	Run(t, []Case{
		{Domain: "x", Op: "MaxUnpoolGrad", Opset: 1, Attrs: as, In: Vals(dy, I64([]int{1, 1, 2}, 2, 0)), Want: Vals(F32([]int{1, 1, 2}, 30, 10))},
		{Name: "one place twice", Domain: "x", Op: "MaxUnpoolGrad", Opset: 1, Attrs: as, In: Vals(dy, I64([]int{1, 1, 2}, 1, 1)), Want: Vals(F32([]int{1, 1, 2}, 0, 20))},
		{Domain: "x", Op: "MaxUnpoolGrad", Opset: 1, Attrs: as, In: Vals(dy, I64([]int{1, 1, 2}, 1, 3)), Want: Vals(dy), Err: "I has 3 at 1"},
		{Domain: "x", Op: "MaxUnpoolGrad", Opset: 1, Attrs: as, In: Vals(dy, I64([]int{1, 1, 3}, 1, 2, 0)), Want: Vals(dy), Err: "want [1 1 4]"},
	})
}
