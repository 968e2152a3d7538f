package ops_test

import (
	"fmt"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func iota32(shape ...int) *tensor.Tensor {
	x := tensor.New(tensor.Float32, shape...)
	d := tensor.Data[float32](x)
	for i := range d {
		d[i] = float32(i)
	}
	return x
}

// naiveTranspose divides each index.
func naiveTranspose(x *tensor.Tensor, perm []int) *tensor.Tensor {
	shape := make([]int, len(perm))
	for i, k := range perm {
		shape[i] = x.Dim(k)
	}
	y := tensor.New(tensor.Float32, shape...)
	xs, ys := tensor.Strides(x.Shape()), tensor.Strides(shape)
	for i := range tensor.Data[float32](y) {
		from := 0
		for k := range perm {
			from += i / ys[k] % shape[k] * xs[perm[k]]
		}
		tensor.Data[float32](y)[i] = tensor.Data[float32](x)[from]
	}
	return y
}

func TestTranspose(t *testing.T) {
	var cases []Case
	for _, c := range []struct{ shape, perm []int }{
		{[]int{2, 3}, []int{1, 0}},
		{[]int{300, 500}, []int{1, 0}},
		{[]int{2, 17, 19, 5}, []int{0, 3, 1, 2}},
		{[]int{2, 5, 17, 19}, []int{0, 2, 3, 1}},
		{[]int{2, 40, 3, 64}, []int{0, 2, 1, 3}},
		{[]int{2, 3, 4, 5}, []int{3, 2, 1, 0}},
		{[]int{2, 3, 4, 5, 6}, []int{4, 0, 3, 1, 2}},
		{[]int{2, 1, 3}, []int{1, 0, 2}},
		{[]int{2, 0, 3}, []int{1, 2, 0}},
		{[]int{1, 70000}, []int{1, 0}},
		{[]int{3, 70000}, []int{1, 0}},
		{[]int{70000, 3}, []int{1, 0}},
	} {
		x := iota32(c.shape...)
		cases = append(cases, Case{Name: fmt.Sprint(c.shape, c.perm), Op: "Transpose", Attrs: onnx.NewAttrs("perm", c.perm),
			In: Vals(x), Want: Vals(naiveTranspose(x, c.perm))})
	}
	Run(t, cases)
	int4, _ := tensor.FromBytes(tensor.Int4, []int{2, 3}, []byte{0x21, 0x43, 0x65}, nil)
	int4t, _ := tensor.FromBytes(tensor.Int4, []int{3, 2}, []byte{0x41, 0x52, 0x63}, nil)
	Run(t, []Case{
		{Op: "Transpose", Opset: 1, In: Vals(I64([]int{2, 2}, 1, 2, 3, 4)), Want: Vals(I64([]int{2, 2}, 1, 3, 2, 4))},
		{Op: "Transpose", In: Vals(Of([]int{1, 2}, "a", "b")), Want: Vals(Of([]int{2, 1}, "a", "b"))},
		{Op: "Transpose", In: Vals(Of([]int{2, 2}, "a", "b", "c", "d")), Want: Vals(Of([]int{2, 2}, "a", "c", "b", "d"))},
		{Op: "Transpose", In: Vals(Of([]int{2, 2}, true, false, true, true)), Want: Vals(Of([]int{2, 2}, true, true, false, true))},
		{Op: "Transpose", In: Vals(Of([]int{2, 2}, 1i, 2, 3, 4)), Want: Vals(Of([]int{2, 2}, 1i, 3, 2, 4))},
		{Op: "Transpose", In: Vals(F32([]int{}, 1)), Want: Vals(F32([]int{}, 1))},
		{Op: "Transpose", In: Vals(int4), Want: Vals(int4t)},
		{Op: "Transpose", Attrs: onnx.NewAttrs("perm", []int{0}), In: Vals(int4), Want: Vals(int4t), Err: "perm [0] has 1 entries, want 2"},
		{Op: "Transpose", Attrs: onnx.NewAttrs("perm", []int{0, 0}), In: Vals(int4), Want: Vals(int4t), Err: "given twice"},
	})
}

func TestTransposeGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Transpose", In: Vals(Normal(1, 2, 3, 4))},
		{Op: "Transpose", Attrs: onnx.NewAttrs("perm", []int{1, 2, 0}), In: Vals(Normal(1, 2, 3, 4))},
		{Op: "Transpose", Attrs: onnx.NewAttrs("perm", []int{-2, -1, 0}), In: Vals(Normal(1, 2, 3, 4))},
	})
}
