package ops_test

import (
	"fmt"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestConcat(t *testing.T) {
	x, y := F32([]int{2, 2}, 1, 2, 3, 4), F32([]int{2, 1}, 5, 6)
	a := onnx.NewAttrs
	u4 := func(n int, b ...byte) *tensor.Tensor {
		v, err := tensor.FromBytes(tensor.Uint4, []int{n}, b, nil)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	Run(t, []Case{
		{Op: "Concat", Attrs: onnx.NewAttrs("axis", -1), In: Vals(I32([]int{3, 1}, 1, 2, 3), I32([]int{3, 1}, 4, 5, 6)), Want: Vals(I32([]int{3, 2}, 1, 4, 2, 5, 3, 6))},
		{Op: "Concat", Attrs: onnx.NewAttrs("axis", 1), In: Vals(Of([]int{2, 1}, "a", "b"), Of([]int{2, 1}, "c", "d")), Want: Vals(Of([]int{2, 2}, "a", "c", "b", "d"))},
		{Op: "Concat", Attrs: a("axis", 1), In: Vals(x, y, x), Want: Vals(F32([]int{2, 5}, 1, 2, 5, 1, 2, 3, 4, 6, 3, 4))},
		{Op: "Concat", Attrs: a("axis", -2), In: Vals(x, x), Want: Vals(F32([]int{4, 2}, 1, 2, 3, 4, 1, 2, 3, 4))},
		{Op: "Concat", Opset: 1, In: Vals(x, y), Want: Vals(F32([]int{2, 3}, 1, 2, 5, 3, 4, 6))},
		{Op: "Concat", Opset: 4, Attrs: a("axis", 0), In: Vals(I64(nil, 1), I64([]int{0}), I64(nil, 2, 3)), Want: Vals(I64(nil, 1, 2, 3))},
		{Op: "Concat", Attrs: a("axis", 0), In: Vals(Of([]int{1}, "a"), Of([]int{1}, "b")), Want: Vals(Of([]int{2}, "a", "b"))},
		{Op: "Concat", Attrs: a("axis", 0), In: Vals(u4(3, 0x21, 0x03), u4(2, 0x54)), Want: Vals(u4(5, 0x21, 0x43, 0x05))},
		{Op: "Concat", In: Vals(x, y), Want: Vals(x), Err: "axis"},
		{Op: "Concat", Attrs: a("axis", 2), In: Vals(x), Want: Vals(x), Err: "axis 2 is not in [-2, 1]"},
		{Op: "Concat", Attrs: a("axis", 0), In: Vals(x, y), Want: Vals(x), Err: "dimension 1"},
		{Op: "Concat", Attrs: a("axis", 0), In: Vals(x, I64([]int{1, 2}, 1, 2)), Want: Vals(x), Err: "int64"},
	})
}

// TestConcatRows joins rows that are many enough to be shared among threads.
func TestConcatRows(t *testing.T) {
	for _, widths := range [][]int{{40, 32, 300}, {100, 3}} { // the latter has rows too short for a call each
		const outer = 400
		var in []*tensor.Tensor
		sum := 0
		for i, w := range widths {
			x := make([]int16, outer*w)
			for j := range x {
				x[j] = int16(j*31 + i*7919)
			}
			in, sum = append(in, tensor.Of(x, outer, w)), sum+w
		}
		var all []int16
		for o := range outer {
			for i, x := range in {
				all = append(all, tensor.Data[int16](x)[o*widths[i]:(o+1)*widths[i]]...)
			}
		}
		c := Case{Name: fmt.Sprint(widths), Op: "Concat", Attrs: onnx.NewAttrs("axis", 1), Want: Vals(tensor.Of(all, outer, sum))}
		for _, x := range in {
			c.In = append(c.In, x)
		}
		Run(t, []Case{c})
	}
}

func TestConcatGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Concat", Attrs: onnx.NewAttrs("axis", 1), In: Vals(Normal(1, 2, 3), Normal(2, 2, 1), Normal(3, 2, 2))},
		{Op: "Concat", Attrs: onnx.NewAttrs("axis", -1), In: Vals(Normal(1, 2, 3), Normal(2, 2, 1))},
		{Op: "Concat", Attrs: onnx.NewAttrs("axis", -2), In: Vals(Normal(1, 2, 3), Normal(2, 1, 3))},
		{Op: "Concat", Attrs: onnx.NewAttrs("axis", 0), In: Vals(Normal(1, 2, 3))},
	})
}
