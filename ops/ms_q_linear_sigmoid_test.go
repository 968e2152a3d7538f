package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestQLinearSigmoid(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QLinearSigmoid", Opset: 1, In: Vals(Of[uint8]([]int{3, 5}, 62, 138, 186, 129, 156, 223, 175, 92, 164, 153, 27, 15, 169, 99, 153), F32([]int{}, 0.05), Of[uint8]([]int{}, 128), F32([]int{}, 0.00390625), Of[uint8]([]int{}, 0)), Want: Vals(Of[uint8]([]int{3, 5}, 9, 159, 243, 131, 205, 254, 234, 36, 220, 199, 2, 1, 227, 49, 199))},
		{Domain: "com.microsoft", Op: "QLinearSigmoid", Opset: 1, In: Vals(Of[int8]([]int{9}, -46, -71, -90, -31, 80, -26, -31, 19, 122), F32([]int{}, 0.05), Of[int8]([]int{}, 3), F32([]int{}, 0.0078125), Of[int8]([]int{}, -10)), Want: Vals(Of[int8]([]int{9}, 0, -7, -9, 10, 115, 14, 10, 78, 118))},
		{Domain: "com.microsoft", Op: "QLinearSigmoid", Opset: 1, In: Vals(F32([]int{2}, 2.877, -1.351), F32([]int{}, 1), nil, F32([]int{}, 1)), Want: Vals(nil), Err: "element type float32"},
	})
}
