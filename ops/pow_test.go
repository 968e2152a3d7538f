package ops_test

import (
	"fmt"
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestPow(t *testing.T) {
	x := F32([]int{3}, 1, -2, 3)
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	Run(t, []Case{
		{Op: "Pow", In: Vals(x, F32([]int{3}, 4, 5, 6)), Want: Vals(F32([]int{3}, 1, -32, 729))},
		{Op: "Pow", In: Vals(x, F32([]int{}, 2)), Want: Vals(F32([]int{3}, 1, 4, 9))},
		{Op: "Pow", In: Vals(x, F32([]int{}, 3)), Want: Vals(F32([]int{3}, 1, -8, 27))},
		{Op: "Pow", In: Vals(x, F32([]int{}, -1)), Want: Vals(F32([]int{3}, 1, -0.5, 1.0/3))},
		{Op: "Pow", In: Vals(x, F32([]int{}, 1)), Want: Vals(x)},
		{Op: "Pow", In: Vals(x, F32([]int{}, 0.5)), Want: Vals(F32([]int{3}, 1, nan, 1.7320508))},
		{Op: "Pow", In: Vals(F32([]int{3}, -inf, 0, 4), F32([]int{}, 0.5)), Want: Vals(F32([]int{3}, inf, 0, 2))},
		{Op: "Pow", In: Vals(F32([]int{}, 2), x), Want: Vals(F32([]int{3}, 2, 0.25, 8))},
		{Op: "Pow", Opset: 6, Attrs: onnx.NewAttrs("broadcast", 1, "axis", 0), In: Vals(F32([]int{2, 2}, 1, 2, 3, 4), F32([]int{2}, 2, 3)), Want: Vals(F32([]int{2, 2}, 1, 4, 27, 64))},
		{Op: "Pow", Opset: 7, In: Vals(F32([]int{2, 1}, 2, 3), F32([]int{2}, 2, 3)), Want: Vals(F32([]int{2, 2}, 4, 8, 9, 27))},
		{Op: "Pow", In: Vals(x, I64([]int{3}, 4, -1, 2)), Want: Vals(F32([]int{3}, 1, -0.5, 9))},
		{Op: "Pow", In: Vals(x, Of([]int{3}, uint64(4), 3, 2)), Want: Vals(F32([]int{3}, 1, -8, 9))},
		{Op: "Pow", In: Vals(I32([]int{3}, 2, 3, 7), F32([]int{}, 2.5)), Want: Vals(I32([]int{3}, 5, 15, 129))},
		{Op: "Pow", In: Vals(I64([]int{3}, 3, -1, 2), I64([]int{3}, 39, -3, -2)), Want: Vals(I64([]int{3}, 4052555153018976267, -1, 0))},
		{Op: "Pow", In: Vals(I32([]int{2}, 3, 2), Of([]int{2}, uint8(4), 10)), Want: Vals(I32([]int{2}, 81, 1024))},
		{Op: "Pow", In: Vals(I32([]int{2}, 3, 0), I32([]int{2}, 4, -1)), Want: Vals(x), Err: "X is 0 at element 1"},
		{Op: "Pow", In: Vals(Of([]int{2}, tensor.F16Of(3), tensor.F16Of(2)), I64([]int{2}, 2, 3)), Want: Vals(Of([]int{2}, tensor.F16Of(9), tensor.F16Of(8)))},
		{Op: "Pow", In: Vals(F64([]int{2}, 3, 2), F32([]int{1}, 2)), Want: Vals(F64([]int{2}, 9, 4))},
		{Op: "Pow", In: Vals(Of([]int{1}, true), F32([]int{1}, 2)), Want: Vals(x), Err: "not supported"},
	})
}

func TestPowGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Pow", In: Vals(Between(1, 0.2, 3, 3, 4), Normal(2, 4))},
		{Op: "Pow", In: Vals(Normal(1, 3, 4), I64([]int{}, 3))},
		{Op: "Pow", In: Vals(Normal(1, 3, 4), I64([]int{4}, 0, 1, 2, 3))},
		{Op: "Pow", In: Vals(F64([]int{3}, 0, 0, 0), I64([]int{3}, 0, 1, 2))},
		{Op: "Pow", In: Vals(Between(1, 0.2, 3, 4, 1), Normal(2, 4))},
		{Op: "Pow", In: Vals(Normal(1, 3, 4), I64([]int{}, 2)), Const: []int{1}},
	})
}

// float32 powers of all kinds of numbers, by exponents of all kinds, against double precision.
func TestPowFloat32(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	bases := []float32{0, float32(math.Copysign(0, -1)), 1, -1, 2, -2, 0.5, 1.0000001, 0.9999999, -1.7, 3e-20, 1e-42, 7e37, math.MaxFloat32, inf, -inf, nan}
	for i := range 200 {
		bases = append(bases, float32(math.Exp(float64(i)/7-14)))
	}
	exponents := []float32{0, 1, -1, 2, 3, 4, -4, 5, 9, -9, 16, 33, 64, 65, 0.5, -0.5, 1.0 / 3, 2.2, -7.3, 1e-3, 88, 1e9, -1e9, math.MaxFloat32, inf, -inf, nan}
	all, each, want := make([]float32, 0, len(bases)*len(exponents)), []float32{}, []float32{}
	var cases []Case
	for _, y := range exponents {
		one := make([]float32, len(bases))
		for i, x := range bases {
			one[i] = float32(math.Pow(float64(x), float64(y)))
			all, each, want = append(all, x), append(each, y), append(want, one[i])
		}
		cases = append(cases, Case{Name: fmt.Sprint(y), Op: "Pow", Opset: 15, In: Vals(F32(nil, bases...), F32([]int{}, y)), Want: Vals(F32(nil, one...)), Tol: tensor.Tolerance{Rel: 2e-7}})
	}
	cases = append(cases, Case{Name: "each", Op: "Pow", Opset: 15, In: Vals(F32(nil, all...), F32(nil, each...)), Want: Vals(F32(nil, want...)), Tol: tensor.Tolerance{Rel: 2e-7}})
	Run(t, cases)
}

// Powers with exponents of another type than the base, and of float64.
func TestPowTypes(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	bases := []float64{0, math.Copysign(0, -1), 1, -1, 2, -2, 0.5, -1.7, 3e-20, 7e37, inf, -inf, nan}
	for i := range 40 {
		bases = append(bases, float64(float32(math.Exp(float64(i)/3-7))))
	}
	bases32 := make([]float32, len(bases))
	for i, v := range bases {
		bases32[i] = float32(v)
	}
	var cases []Case
	for _, y := range []float64{0, 1, -1, 2, -2, 3, -3, 4, 17, 64, 65, 0.5, -0.5, 1.0 / 3, 1<<53 + 2, math.MaxInt64, inf, nan} {
		want, want32 := make([]float64, len(bases)), make([]float32, len(bases))
		for i, x := range bases {
			want[i] = math.Pow(x, y)
			want32[i] = float32(math.Pow(float64(bases32[i]), y))
		}
		exponents := []tensor.Value{F64([]int{}, y)}
		if y == math.Trunc(y) && y < 1<<62 {
			exponents = append(exponents, I64([]int{}, int64(y)))
		}
		for _, e := range exponents {
			name := fmt.Sprint(y, e.(*tensor.Tensor).DType())
			cases = append(cases,
				Case{Name: name, Op: "Pow", Opset: 15, In: Vals(F64(nil, bases...), e), Want: Vals(F64(nil, want...)), Tol: tensor.Tolerance{Rel: 1e-14}},
				Case{Name: name, Op: "Pow", Opset: 15, In: Vals(F32(nil, bases32...), e), Want: Vals(F32(nil, want32...)), Tol: tensor.Tolerance{Rel: 2e-7}})
		}
	}
	cases = append(cases, Case{Op: "Pow", In: Vals(F64([]int{2}, 2, -3), I64([]int{2}, 3, 2)), Want: Vals(F64([]int{2}, 8, 9))})
	Run(t, cases)
}

// One whole exponent for all gives the bits that math.Pow gives, or wraps around if it is an integer.
func TestPowOfIntegers(t *testing.T) {
	bases := []int64{0, 1, -1, 2, -3, 7, 10, -99, 1234567, -1 << 31, 1<<31 - 1, 3037000500, 1<<53 + 1, math.MaxInt64, math.MinInt64}
	for _, y := range []int{1, 2, 3, 4, 5, 13, 63, 64, 65} {
		byFloat, byFloat32, byInt := make([]int64, len(bases)), make([]int32, len(bases)), make([]int64, len(bases))
		small := make([]int32, len(bases))
		of := func(b int64) int64 {
			if p := math.Pow(float64(b), float64(y)); p >= -1<<63 && p < 1<<63 {
				return int64(p)
			}
			return math.MinInt64
		}
		for i, b := range bases {
			small[i] = int32(b)
			byFloat[i], byFloat32[i], byInt[i] = of(b), int32(of(int64(small[i]))), 1
			for range y {
				byInt[i] *= b
			}
		}
		s := []int{len(bases)}
		Run(t, []Case{
			{Name: fmt.Sprint(y), Op: "Pow", In: Vals(I64(s, bases...), F32([]int{}, float32(y))), Want: Vals(I64(s, byFloat...))},
			{Name: fmt.Sprint(y), Op: "Pow", In: Vals(I32(s, small...), F64([]int{1}, float64(y))), Want: Vals(I32(s, byFloat32...))},
			{Name: fmt.Sprint(y), Op: "Pow", In: Vals(I64(s, bases...), I64([]int{}, int64(y))), Want: Vals(I64(s, byInt...))},
			{Name: fmt.Sprint(y), Op: "Pow", In: Vals(I64(s, bases...), I32([]int{}, int32(y))), Want: Vals(I64(s, byInt...))},
		})
	}
}
