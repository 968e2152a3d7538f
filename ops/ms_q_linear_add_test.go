package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestQLinearAdd(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QLinearAdd", Opset: 1, In: Vals(Of[uint8]([]int{2, 3, 4}, 241, 160, 175, 229, 148, 198, 213, 57, 14, 76, 72, 223, 233, 1, 127, 210, 33, 204, 30, 119, 209, 77, 87, 71), F32([]int{}, 0.01), Of[uint8]([]int{}, 100), Of[uint8]([]int{3, 1}, 184, 65, 253), F32([]int{}, 0.02), Of[uint8]([]int{}, 50), F32([]int{}, 0.03), Of[uint8]([]int{}, 120)), Want: Vals(Of[uint8]([]int{2, 3, 4}, 255, 229, 234, 252, 146, 163, 168, 116, 227, 247, 246, 255, 254, 176, 218, 246, 108, 165, 107, 136, 255, 248, 251, 246))},
		{Domain: "com.microsoft", Op: "QLinearAdd", Opset: 1, In: Vals(Of[int8]([]int{7}, -15, -6, 1, 21, 13, 2, 126), F32([]int{}, 0.01), Of[int8]([]int{}, 10), Of[int8]([]int{}, 78), F32([]int{}, 0.02), Of[int8]([]int{}, -50), F32([]int{}, 0.013), Of[int8]([]int{}, 12)), Want: Vals(Of[int8]([]int{7}, 127, 127, 127, 127, 127, 127, 127))},
		{Domain: "com.microsoft", Op: "QLinearAdd", Opset: 1, In: Vals(Of[uint8]([]int{0, 3}), F32([]int{}, 0.01), Of[uint8]([]int{}, 100), Of[uint8]([]int{3}, 202, 179, 159), F32([]int{}, 0.02), Of[uint8]([]int{}, 50), F32([]int{}, 0.03)), Want: Vals(Of[uint8]([]int{0, 3}))},
		{Domain: "com.microsoft", Op: "QLinearAdd", Opset: 1, In: Vals(Of[uint8]([]int{2}, 87, 253), F32([]int{}, 0.01), Of[uint8]([]int{}, 100), Of[uint8]([]int{3}, 119, 55, 216), F32([]int{}, 0.02), Of[uint8]([]int{}, 50), F32([]int{}, 0.03)), Want: Vals(nil), Err: "against 3"},
		{Domain: "com.microsoft", Op: "QLinearAdd", Opset: 1, In: Vals(Of[uint8]([]int{2}, 41, 219), F32([]int{2}, 0.01, 0.1), Of[uint8]([]int{}, 100), Of[uint8]([]int{2}, 156, 29), F32([]int{}, 0.02), Of[uint8]([]int{}, 50), F32([]int{}, 0.03)), Want: Vals(nil), Err: "A_scale has 2 elements, want 1"},
	})
}

// TestQLinearAddBroadcast adds bytes of scale 1 whose sums fit, in many shapes.
func TestQLinearAddBroadcast(t *testing.T) {
	one, zero := F32([]int{}, 1), Of[uint8]([]int{}, 0)
	fill := func(shape []int, k int) *tensor.Tensor {
		x := tensor.New(tensor.Uint8, shape...)
		for i := range x.Bytes() {
			x.Bytes()[i] = byte(i * k % 120)
		}
		return x
	}
	var cases []Case
	for _, s := range [][2][]int{
		{{2, 1, 1, 5}, {2, 30, 40, 5}}, {{1, 40, 33, 7}, {1, 1, 1, 7}}, {{3, 70, 1}, {3, 70, 90}}, {{4, 5}, {4, 1}}, {{1}, {3, 4, 2}}, {{6, 1, 5}, {1, 7, 5}},
		{{6, 1, 5, 1}, {1, 7, 1, 9}}, {{5000}, {3, 5000}}, {{3, 1}, {3, 5000}}, {{2, 3, 1, 4}, {3, 9, 4}}, {{1, 1}, {1, 1}}, {{600, 1, 300}, {1, 2, 300}},
	} {
		a, b := fill(s[0], 7), fill(s[1], 11)
		shape, err := tensor.Broadcast(s[0], s[1])
		if err != nil {
			t.Fatal(err)
		}
		want := tensor.New(tensor.Uint8, shape...)
		sa, sb := tensor.BroadcastStrides(s[0], shape), tensor.BroadcastStrides(s[1], shape)
		for i := range want.Bytes() {
			x, y, left := 0, 0, i
			for d := len(shape) - 1; d >= 0; d-- {
				x += left % shape[d] * sa[d]
				y += left % shape[d] * sb[d]
				left /= shape[d]
			}
			want.Bytes()[i] = a.Bytes()[x] + b.Bytes()[y]
		}
		cases = append(cases, Case{Domain: "com.microsoft", Op: "QLinearAdd", Opset: 1, In: Vals(a, one, zero, b, one, zero, one, zero), Want: Vals(want)})
	}
	Run(t, cases)
}
