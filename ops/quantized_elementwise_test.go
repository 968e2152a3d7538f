package ops_test

import (
	"math/rand/v2"
	"testing"

	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Operands that are broadcast give what operands of the whole shape give, for all ways
// in which rows of bytes lie.
func TestQuantizedBroadcast(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	bytes := func(shape ...int) *tensor.Tensor {
		x := tensor.New(tensor.Uint8, shape...)
		for i := range x.Bytes() {
			x.Bytes()[i] = uint8(r.Uint32())
		}
		return x
	}
	run := func(op string, threads int, a, b *tensor.Tensor) *tensor.Tensor {
		g := onnx.NewGraph("g", map[string]int{"com.microsoft": 1})
		in := make([]*onnx.Value, 8)
		for i := range in {
			in[i] = g.NewValue("", onnx.Type{})
		}
		out, err := ops.Eval(par.P{Threads: threads}, g.NewNodeIn("com.microsoft", op, nil, in, 1), []tensor.Value{a, tensor.Scalar(float32(0.02)), tensor.Scalar(uint8(120)),
			b, tensor.Scalar(float32(0.03)), tensor.Scalar(uint8(90)), tensor.Scalar(float32(0.05)), tensor.Scalar(uint8(100))}, ops.BuildEnv{})
		if err != nil {
			t.Fatal(err)
		}
		return out[0].(*tensor.Tensor)
	}
	for _, c := range []struct{ a, b, shape []int }{
		{[]int{1, 512, 24, 1}, []int{1, 1, 24, 16}, []int{1, 512, 24, 16}},
		{[]int{3, 40, 5, 17}, []int{3, 40, 5, 1}, []int{3, 40, 5, 17}},
		{[]int{7, 1, 3}, []int{1, 9, 1}, []int{7, 9, 3}},
		{[]int{5, 1, 4, 1, 6}, []int{1, 3, 1, 2, 6}, []int{5, 3, 4, 2, 6}},
		{[]int{2, 6, 1}, []int{2, 1, 127}, []int{2, 6, 127}},
		{[]int{2, 6, 1}, []int{2, 1, 128}, []int{2, 6, 128}},
		{[]int{2, 6, 1}, []int{2, 1, 511}, []int{2, 6, 511}},
		{[]int{2, 6, 1}, []int{2, 1, 512}, []int{2, 6, 512}},
		{[]int{1, 4, 30, 20}, []int{4, 30, 20}, []int{1, 4, 30, 20}},
		{[]int{1, 4, 70, 70}, []int{70, 70}, []int{1, 4, 70, 70}},
		{[]int{4, 2}, []int{1}, []int{4, 2}},
		{[]int{4, 1, 2}, []int{3, 2}, []int{4, 3, 2}},
		{[]int{1}, []int{1, 1}, []int{1, 1}},
	} {
		a, b := bytes(c.a...), bytes(c.b...)
		whole := func(x *tensor.Tensor) *tensor.Tensor {
			y := tensor.New(tensor.Uint8, c.shape...)
			strides := tensor.BroadcastStrides(x.Shape(), c.shape)
			for i := range y.Bytes() {
				at, left := 0, i
				for d := len(c.shape) - 1; d >= 0; d-- {
					at += left % c.shape[d] * strides[d]
					left /= c.shape[d]
				}
				y.Bytes()[i] = x.Bytes()[at]
			}
			return y
		}
		for _, op := range []string{"QLinearMul", "QLinearAdd"} {
			want := run(op, 1, whole(a), whole(b))
			for threads := 1; threads <= 3; threads += 2 {
				if err := tensor.Compare(run(op, threads, a, b), want, tensor.Tolerance{}); err != nil {
					t.Errorf("%s of %v and %v, %d threads: %v", op, c.a, c.b, threads, err)
				}
				if err := tensor.Compare(run(op, threads, b, a), run(op, 1, whole(b), whole(a)), tensor.Tolerance{}); err != nil {
					t.Errorf("%s of %v and %v, %d threads: %v", op, c.b, c.a, threads, err)
				}
			}
		}
	}
}
