package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestQLinearWhere(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QLinearWhere", Opset: 1, In: Vals(Of[bool]([]int{2, 1}, true, false), Of[uint8]([]int{2, 3}, 136, 33, 216, 216, 123, 241), F32([]int{}, 0.05), Of[uint8]([]int{}, 128), Of[uint8]([]int{3}, 155, 231, 245), F32([]int{}, 0.02), Of[uint8]([]int{}, 10), F32([]int{}, 0.04), Of[uint8]([]int{}, 100)), Want: Vals(Of[uint8]([]int{2, 3}, 110, 0, 210, 172, 211, 218))},
		{Domain: "com.microsoft", Op: "QLinearWhere", Opset: 1, In: Vals(Of[bool]([]int{}, true), Of[int8]([]int{2}, 17, -57), F32([]int{}, 0.05), Of[int8]([]int{}, 1), Of[int8]([]int{2}, -91, 16), F32([]int{}, 0.02), Of[int8]([]int{}, 10), F32([]int{}, 0.04), Of[int8]([]int{}, 100)), Want: Vals(Of[int8]([]int{2}, 120, 27))},
		{Domain: "com.microsoft", Op: "QLinearWhere", Opset: 1, In: Vals(Of[uint8]([]int{2}, 49, 192), Of[uint8]([]int{2}, 237, 62), F32([]int{}, 1), Of[uint8]([]int{}, 1), Of[uint8]([]int{2}, 141, 12), F32([]int{}, 1), Of[uint8]([]int{}, 1), F32([]int{}, 1), Of[uint8]([]int{}, 1)), Want: Vals(nil), Err: "condition is uint8"},
	})
}
