package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

// ramp returns a tensor of small integers that do not repeat soon.
func ramp(shape ...int) *tensor.Tensor {
	n, _ := tensor.Count(shape)
	v := make([]float32, n)
	for i := range v {
		v[i] = float32((i*7+3)%11 - 5)
	}
	return tensor.Of(v, shape...)
}

// naiveMatMul multiplies stacks [b m k] and [b k n]; a stack of one is repeated.
func naiveMatMul(a, b *tensor.Tensor) *tensor.Tensor {
	as, bs := a.Shape(), b.Shape()
	m, k, n := as[1], as[2], bs[2]
	nb := max(as[0], bs[0])
	x, w := tensor.Data[float32](a), tensor.Data[float32](b)
	y := make([]float32, nb*m*n)
	for s := range nb {
		for i := range m {
			for j := range n {
				for q := range k {
					y[(s*m+i)*n+j] += x[(s%as[0]*m+i)*k+q] * w[(s%bs[0]*k+q)*n+j]
				}
			}
		}
	}
	return tensor.Of(y, nb, m, n)
}

func TestMatMul(t *testing.T) {
	a, b := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6), F32([]int{3, 2}, 1, 0, 0, 1, 2, -1)
	half := func(x *tensor.Tensor, d tensor.DType) *tensor.Tensor {
		h := tensor.New(d, x.Shape()...)
		tensor.Narrow(h, x)
		return h
	}
	y := F32([]int{2, 2}, 7, -1, 16, -1)
	big, w := ramp(3, 40, 70), ramp(1, 70, 45)
	tall, _ := w.Reshape(70, 45)
	Run(t, []Case{
		{Op: "MatMul", In: Vals(a, b), Want: Vals(y)},
		{Op: "MatMul", Opset: 1, In: Vals(a, b), Want: Vals(y)},
		{Op: "MatMul", In: Vals(F64([]int{1, 2}, 2, 3), F64([]int{2, 1}, 5, 7)), Want: Vals(F64([]int{1, 1}, 31))},
		{Op: "MatMul", In: Vals(I64([]int{1, 2}, 2, 3), I64([]int{2, 2}, 5, 7, -1, 0)), Want: Vals(I64([]int{1, 2}, 7, 14))},
		{Op: "MatMul", In: Vals(I32([]int{1, 1}, 2), I32([]int{1, 1}, 5)), Want: Vals(I32([]int{1, 1}, 10))},
		{Op: "MatMul", In: Vals(Of([]int{1, 1}, uint32(1<<31)), Of([]int{1, 1}, uint32(3))), Want: Vals(Of([]int{1, 1}, uint32(1<<31)))},
		{Op: "MatMul", In: Vals(Of([]int{1, 1}, uint64(3)), Of([]int{1, 1}, uint64(3))), Want: Vals(Of([]int{1, 1}, uint64(9)))},
		{Op: "MatMul", In: Vals(half(a, tensor.Float16), half(b, tensor.Float16)), Want: Vals(half(y, tensor.Float16))},
		{Op: "MatMul", In: Vals(half(a, tensor.BFloat16), half(b, tensor.BFloat16)), Want: Vals(half(y, tensor.BFloat16))},
		{Name: "vectors", Op: "MatMul", In: Vals(F32([]int{3}, 1, 2, 3), F32([]int{3}, 4, 5, 6)), Want: Vals(F32([]int{}, 32))},
		{Name: "row", Op: "MatMul", In: Vals(F32([]int{3}, 1, 2, 3), b), Want: Vals(F32([]int{2}, 7, -1))},
		{Name: "column", Op: "MatMul", In: Vals(a, F32([]int{3}, 1, 0, -1)), Want: Vals(F32([]int{2}, -2, -2))},
		{Name: "stack of rows", Op: "MatMul", In: Vals(F32([]int{2, 1, 2}, 1, 2, 3, 4), F32([]int{2}, 10, 1)), Want: Vals(F32([]int{2, 1}, 12, 34))},
		{Name: "vector and stack", Op: "MatMul", In: Vals(F32([]int{2}, 10, 1), F32([]int{2, 2, 1}, 1, 2, 3, 4)), Want: Vals(F32([]int{2, 1}, 12, 34))},
		{Name: "folded", Op: "MatMul", In: Vals(big, tall), Want: Vals(naiveMatMul(big, w))},
		{Name: "stack of one", Op: "MatMul", In: Vals(big, w), Want: Vals(naiveMatMul(big, w))},
		{Name: "left repeated", Op: "MatMul", In: Vals(ramp(1, 4, 6), ramp(5, 6, 3)), Want: Vals(naiveMatMul(ramp(1, 4, 6), ramp(5, 6, 3)))},
		{Name: "batch", Op: "MatMul", In: Vals(ramp(3, 20, 70), ramp(3, 70, 33)), Want: Vals(naiveMatMul(ramp(3, 20, 70), ramp(3, 70, 33)))},
		{Name: "two batch dimensions", Op: "MatMul", In: Vals(F32([]int{2, 1, 1, 1}, 2, 3), F32([]int{2, 1, 1}, 5, 7)), Want: Vals(F32([]int{2, 2, 1, 1}, 10, 14, 15, 21))},
		{Name: "no k", Op: "MatMul", In: Vals(F32([]int{2, 0}), F32([]int{0, 2})), Want: Vals(F32([]int{2, 2}, 0, 0, 0, 0))},
		{Name: "no rows", Op: "MatMul", In: Vals(F32([]int{0, 3}), b), Want: Vals(F32([]int{0, 2}))},
		{Op: "MatMul", In: Vals(a, a), Want: Vals(y), Err: "3 columns against 2 rows"},
		{Op: "MatMul", In: Vals(a, F32([]int{}, 1)), Want: Vals(y), Err: "B has rank 0"},
		{Op: "MatMul", In: Vals(ramp(2, 1, 1), ramp(3, 1, 1)), Want: Vals(y), Err: "2 against 3"},
		{Op: "MatMul", In: Vals(Of([]int{1, 1}, true), Of([]int{1, 1}, true)), Want: Vals(y), Err: "not supported: element type bool"},
	})
}

func TestMatMulGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "MatMul", In: Vals(Normal(1, 3, 4), Normal(2, 4, 5))},
		{Op: "MatMul", In: Vals(Normal(1, 2, 3, 4), Normal(2, 4, 5))},
		{Op: "MatMul", In: Vals(Normal(1, 2, 1, 3, 4), Normal(2, 3, 4, 5))},
		{Op: "MatMul", In: Vals(Normal(1, 3, 4), Normal(2, 2, 4, 5))},
		{Op: "MatMul", In: Vals(Normal(1, 4), Normal(2, 2, 4, 5))},
		{Op: "MatMul", In: Vals(Normal(1, 2, 3, 4), Normal(2, 4))},
		{Op: "MatMul", In: Vals(Normal(1, 4), Normal(2, 4, 5))},
		{Op: "MatMul", In: Vals(Normal(1, 4), Normal(2, 4))},
	})
}
