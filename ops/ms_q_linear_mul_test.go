package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
)

func TestQLinearMul(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QLinearMul", Opset: 1, In: Vals(Of[uint8]([]int{2, 3, 4}, 11, 113, 9, 36, 131, 248, 119, 206, 234, 210, 161, 112, 131, 68, 127, 97, 63, 254, 3, 24, 49, 248, 177, 225), F32([]int{}, 0.01), Of[uint8]([]int{}, 100), Of[uint8]([]int{3, 1}, 51, 184, 94), F32([]int{}, 0.02), Of[uint8]([]int{}, 50), F32([]int{}, 0.03), Of[uint8]([]int{}, 120)), Want: Vals(Of[uint8]([]int{2, 3, 4}, 119, 120, 119, 120, 148, 252, 137, 215, 159, 152, 138, 124, 120, 120, 120, 120, 87, 255, 33, 52, 105, 163, 143, 157))},
		{Domain: "com.microsoft", Op: "QLinearMul", Opset: 1, In: Vals(Of[int8]([]int{7}, -3, -128, 30, 84, 41, -89, 8), F32([]int{}, 0.01), Of[int8]([]int{}, 10), Of[int8]([]int{}, -60), F32([]int{}, 0.02), Of[int8]([]int{}, -50), F32([]int{}, 0.013), Of[int8]([]int{}, 12)), Want: Vals(Of[int8]([]int{7}, 14, 33, 9, 1, 7, 27, 12))},
		{Domain: "com.microsoft", Op: "QLinearMul", Opset: 1, In: Vals(Of[uint8]([]int{0, 3}), F32([]int{}, 0.01), Of[uint8]([]int{}, 100), Of[uint8]([]int{3}, 247, 225, 47), F32([]int{}, 0.02), Of[uint8]([]int{}, 50), F32([]int{}, 0.03)), Want: Vals(Of[uint8]([]int{0, 3}))},
		{Domain: "com.microsoft", Op: "QLinearMul", Opset: 1, In: Vals(Of[uint8]([]int{2}, 130, 240), F32([]int{}, 0.01), Of[uint8]([]int{}, 100), Of[uint8]([]int{3}, 216, 181, 163), F32([]int{}, 0.02), Of[uint8]([]int{}, 50), F32([]int{}, 0.03)), Want: Vals(nil), Err: "against 3"},
		{Domain: "com.microsoft", Op: "QLinearMul", Opset: 1, In: Vals(Of[uint8]([]int{2}, 10, 189), F32([]int{2}, 0.01, 0.1), Of[uint8]([]int{}, 100), Of[uint8]([]int{2}, 121, 23), F32([]int{}, 0.02), Of[uint8]([]int{}, 50), F32([]int{}, 0.03)), Want: Vals(nil), Err: "A_scale has 2 elements, want 1"},
	})
}
