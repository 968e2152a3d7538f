package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestSharedLoops: what is compiled for unsigned integers, or for keys, gives signed
// integers and floats their results: signs, wrapping around, order.
func TestSharedLoops(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	i8 := func(shape []int, v ...int8) *tensor.Tensor { return tensor.Of(v, shape...) }
	i16 := func(shape []int, v ...int16) *tensor.Tensor { return tensor.Of(v, shape...) }
	i32 := func(shape []int, v ...int32) *tensor.Tensor { return tensor.Of(v, shape...) }
	half, dot := onnx.NewAttrs("alpha", float32(0.5), "beta", float32(-1)), onnx.NewAttrs("equation", "i,i->")
	words := make([]string, 12)
	equal := make([]bool, 12)
	for i := range words {
		words[i] = string(rune('a' + i%4))
		equal[i] = i%4 == i/4
	}
	Run(t, []Case{
		{Name: "scaled int32", Op: "Gemm", Attrs: half, In: Vals(i32([]int{1, 1}, -6), i32([]int{1, 1}, 3), i32([]int{1}, 4)), Want: Vals(i32([]int{1, 1}, -13))},
		{Name: "scaled int64", Op: "Gemm", Attrs: half, In: Vals(I64([]int{1, 1}, -6), I64([]int{1, 1}, 3), I64([]int{1}, 4)), Want: Vals(I64([]int{1, 1}, -13))},
		{Name: "int32", Op: "MatMul", In: Vals(i32([]int{1, 2}, -6, math.MaxInt32), i32([]int{2, 1}, 3, 2)), Want: Vals(i32([]int{1, 1}, -20))},
		{Name: "int8", Op: "Einsum", Attrs: dot, In: Vals(i8([]int{2}, -100, 7), i8([]int{2}, 2, -3)), Want: Vals(i8([]int{}, 35))},
		{Name: "int16", Op: "Einsum", Attrs: dot, In: Vals(i16([]int{2}, -100, 7), i16([]int{2}, 2, -3)), Want: Vals(i16([]int{}, -221))},
		{Name: "int8", Op: "Sub", In: Vals(i8([]int{2}, -100, 7), i8([]int{1}, 100)), Want: Vals(i8([]int{2}, 56, -93))},
		{Name: "strings in short rows", Op: "Equal", In: Vals(tensor.Of(words, 3, 4), tensor.Of([]string{"a", "b", "c"}, 3, 1)), Want: Vals(tensor.Of(equal, 3, 4))},
		{Name: "float64, largest", Op: "TopK", In: Vals(F64([]int{6}, 0, math.Copysign(0, -1), -inf, nan, 1, inf), I64([]int{1}, 4)),
			Want: Vals(F64([]int{4}, nan, inf, 1, 0), I64([]int{4}, 3, 5, 4, 0))},
		{Name: "float64, smallest, along the first axis", Op: "TopK", Attrs: onnx.NewAttrs("largest", 0, "axis", 0),
			In:   Vals(F64([]int{3, 2}, nan, 1, -1, -inf, -2, 2), I64([]int{1}, 3)),
			Want: Vals(F64([]int{3, 2}, -2, -inf, -1, 1, nan, 2), I64([]int{3, 2}, 2, 1, 1, 0, 0, 2))},
		{Name: "int64", Op: "TopK", In: Vals(I64([]int{4}, math.MinInt64, -1, math.MaxInt64, -1), I64([]int{1}, 3)),
			Want: Vals(I64([]int{3}, math.MaxInt64, -1, -1), I64([]int{3}, 2, 1, 3))},
		{Name: "int8, smallest", Op: "TopK", Attrs: onnx.NewAttrs("largest", 0), In: Vals(i8([]int{4}, 127, -1, -128, 0), I64([]int{1}, 2)),
			Want: Vals(i8([]int{2}, -128, -1), I64([]int{2}, 2, 1))},
	})
}
