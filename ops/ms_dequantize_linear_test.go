package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMsDequantizeLinear(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "DequantizeLinear", In: Vals(Of([]int{2}, int16(-300), 4), F32([]int{}, 2), Of([]int{}, int16(10))), Want: Vals(F32([]int{2}, -620, -12))},
		{Domain: "com.microsoft", Op: "DequantizeLinear", Attrs: onnx.NewAttrs("axis", 0), In: Vals(Of([]int{2, 1}, uint8(3), 7), F32([]int{2}, 1, 2)), Want: Vals(F32([]int{2, 1}, 3, 14))},
	})
}
