package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestQLinearConcat(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QLinearConcat", Opset: 1, Attrs: onnx.NewAttrs("axis", 1), In: Vals(F32([]int{}, 0.03), Of[uint8]([]int{}, 100), Of[uint8]([]int{2, 3}, 46, 96, 226, 248, 164, 149), F32([]int{}, 0.02), Of[uint8]([]int{}, 3), Of[uint8]([]int{2, 1}, 145, 15), F32([]int{}, 0.03), Of[uint8]([]int{}, 100), Of[uint8]([]int{2, 2}, 96, 251, 105, 54), F32([]int{}, 0.1), Of[uint8]([]int{}, 5)), Want: Vals(Of[uint8]([]int{2, 6}, 129, 162, 249, 145, 255, 255, 255, 207, 197, 15, 255, 255))},
		{Domain: "com.microsoft", Op: "QLinearConcat", Opset: 1, Attrs: onnx.NewAttrs("axis", -2), In: Vals(F32([]int{}, 0.03), Of[int8]([]int{}, 1), Of[int8]([]int{1, 3}, -67, 54, -119), F32([]int{}, 0.02), Of[int8]([]int{}, 3), Of[int8]([]int{2, 3}, 120, 96, 17, -9, 66, 12), F32([]int{}, 0.03), Of[int8]([]int{}, 10)), Want: Vals(Of[int8]([]int{3, 3}, -46, 35, -80, 111, 87, 8, -18, 57, 3))},
		{Domain: "com.microsoft", Op: "QLinearConcat", Opset: 1, Attrs: onnx.NewAttrs("axis", 1), In: Vals(F32([]int{}, 0.03), Of[uint8]([]int{}, 100), Of[uint8]([]int{2, 3}, 122, 82, 114, 192, 14, 6), F32([]int{}, 0.02), Of[uint8]([]int{}, 3), Of[uint8]([]int{3, 1}, 184, 95, 205), F32([]int{}, 0.03), Of[uint8]([]int{}, 100)), Want: Vals(nil), Err: "input 5 has shape [3 1], want 2 in dimension 0"},
		{Domain: "com.microsoft", Op: "QLinearConcat", Opset: 1, Attrs: onnx.NewAttrs("axis", 1), In: Vals(F32([]int{}, 0.03), Of[uint8]([]int{}, 100), Of[uint8]([]int{0, 3}), F32([]int{}, 0.02), Of[uint8]([]int{}, 3), Of[uint8]([]int{0, 1}), F32([]int{}, 0.03), Of[uint8]([]int{}, 100)), Want: Vals(Of[uint8]([]int{0, 4}))},
		{Domain: "com.microsoft", Op: "QLinearConcat", Opset: 1, Attrs: onnx.NewAttrs("axis", 2), In: Vals(F32([]int{}, 0.03), Of[uint8]([]int{}, 100), Of[uint8]([]int{2, 3}, 7, 232, 31, 106, 247, 27), F32([]int{}, 0.02), Of[uint8]([]int{}, 3)), Want: Vals(nil), Err: "axis 2 is not in [-2, 1]"},
	})
}

// TestQLinearConcatPieces has pieces of all lengths, of which the first is requantized and the second is not.
func TestQLinearConcatPieces(t *testing.T) {
	one := []int{}
	var cases []Case
	for _, n := range []int{0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 255, 256, 300, 5000} {
		const rows, other = 21, 9
		a, b, want := make([]uint8, rows*n), make([]uint8, rows*other), make([]uint8, 0, rows*(n+other))
		for i := range a {
			a[i] = uint8(i * 7)
		}
		for i := range b {
			b[i] = uint8(i * 11)
		}
		for row := range rows {
			for _, v := range a[row*n:][:n] {
				want = append(want, uint8(min(max(2*(int(v)-3)+5, 0), 255)))
			}
			want = append(want, b[row*other:][:other]...)
		}
		cases = append(cases, Case{Domain: "com.microsoft", Op: "QLinearConcat", Attrs: onnx.NewAttrs("axis", 1), In: Vals(F32(one, 0.25), Of[uint8](one, 5),
			Of([]int{rows, n}, a...), F32(one, 0.5), Of[uint8](one, 3), Of([]int{rows, other}, b...), F32(one, 0.25), Of[uint8](one, 5)), Want: Vals(Of([]int{rows, n + other}, want...))})
	}
	Run(t, cases)
}
