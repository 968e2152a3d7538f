package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMsQuantizeLinear(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QuantizeLinear", In: Vals(F32([]int{3}, -3, 1, 500), F32([]int{}, 2), Of([]int{}, uint16(10))), Want: Vals(Of([]int{3}, uint16(8), 10, 260))},
		{Domain: "com.microsoft", Op: "QuantizeLinear", Attrs: onnx.NewAttrs("axis", 0), In: Vals(F32([]int{2, 1}, -3, 7), F32([]int{2}, 1, 2), packed(tensor.Int4, 0, 1)), Want: Vals(func() *tensor.Tensor {
			p, _ := packed(tensor.Int4, 13, 5).Reshape(2, 1)
			return p
		}())},
	})
}
