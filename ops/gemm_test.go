package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestGemm(t *testing.T) {
	a, b := F32([]int{2, 3}, 1, 2, 3, 4, 5, 6), F32([]int{3, 2}, 1, 0, 0, 1, 2, -1)
	at, bt := F32([]int{3, 2}, 1, 4, 2, 5, 3, 6), F32([]int{2, 3}, 1, 0, 2, 0, 1, -1)
	// A·B = [7 -1; 16 -1]
	full := F32([]int{2, 2}, 1, 2, 3, 4)
	attrs := func(alpha, beta float32, ta, tb int64) onnx.Attrs {
		return onnx.NewAttrs("alpha", alpha, "beta", beta, "transA", ta, "transB", tb)
	}
	Run(t, []Case{
		{Op: "Gemm", In: Vals(a, b, full), Want: Vals(F32([]int{2, 2}, 8, 1, 19, 3))},
		{Op: "Gemm", In: Vals(a, b), Want: Vals(F32([]int{2, 2}, 7, -1, 16, -1))},
		{Name: "row bias", Op: "Gemm", In: Vals(a, b, F32([]int{2}, 10, 20)), Want: Vals(F32([]int{2, 2}, 17, 19, 26, 19))},
		{Name: "row bias of rank 2", Op: "Gemm", In: Vals(a, b, F32([]int{1, 2}, 10, 20)), Want: Vals(F32([]int{2, 2}, 17, 19, 26, 19))},
		{Name: "column bias", Op: "Gemm", In: Vals(a, b, F32([]int{2, 1}, 10, 20)), Want: Vals(F32([]int{2, 2}, 17, 9, 36, 19))},
		{Name: "scalar bias", Op: "Gemm", In: Vals(a, b, F32([]int{}, 10)), Want: Vals(F32([]int{2, 2}, 17, 9, 26, 9))},
		{Name: "transposed", Op: "Gemm", Attrs: attrs(2, -1, 1, 1), In: Vals(at, bt, full), Want: Vals(F32([]int{2, 2}, 13, -4, 29, -6))},
		{Name: "alpha alone", Op: "Gemm", Attrs: attrs(0.5, 1, 0, 0), In: Vals(a, b), Want: Vals(F32([]int{2, 2}, 3.5, -0.5, 8, -0.5))},
		{Name: "beta 0", Op: "Gemm", Attrs: attrs(1, 0, 0, 1), In: Vals(a, bt, full), Want: Vals(F32([]int{2, 2}, 7, -1, 16, -1))},
		{Name: "beta 0 of NaN", Op: "Gemm", Attrs: attrs(1, 0, 0, 0), In: Vals(a, b, F32([]int{}, float32(math.NaN()))), Want: Vals(F32([]int{2, 2}, 7, -1, 16, -1))},
		{Name: "float64", Op: "Gemm", Attrs: attrs(1, 1, 1, 0), In: Vals(F64([]int{2, 1}, 2, 3), F64([]int{2, 1}, 5, 7), F64([]int{1}, 1)), Want: Vals(F64([]int{1, 1}, 32))},
		{Name: "int64", Op: "Gemm", Attrs: attrs(1, 2, 0, 0), In: Vals(I64([]int{1, 1}, 2), I64([]int{1, 1}, 3), I64([]int{1}, 4)), Want: Vals(I64([]int{1, 1}, 14))},
		{Name: "no k", Op: "Gemm", In: Vals(F32([]int{2, 0}), F32([]int{0, 2}), F32([]int{2}, 1, 2)), Want: Vals(F32([]int{2, 2}, 1, 2, 1, 2))},
		{Name: "version 1", Op: "Gemm", Opset: 1, Attrs: onnx.NewAttrs("broadcast", 1), In: Vals(a, b, F32([]int{2}, 10, 20)), Want: Vals(F32([]int{2, 2}, 17, 19, 26, 19))},
		{Name: "version 6 without broadcast", Op: "Gemm", Opset: 6, In: Vals(a, b, F32([]int{2}, 10, 20)), Want: Vals(full), Err: "C has shape [2]"},
		{Op: "Gemm", In: Vals(a, a, full), Want: Vals(full), Err: "3 columns against 2 rows"},
		{Op: "Gemm", In: Vals(a, b, F32([]int{3}, 1, 2, 3)), Want: Vals(full), Err: "C has shape [3]"},
		{Op: "Gemm", In: Vals(F32([]int{1, 2, 3}, 1, 2, 3, 4, 5, 6), b), Want: Vals(full), Err: "want rank 2"},
		{Op: "Gemm", Opset: 9, In: Vals(a, b), Want: Vals(full), Err: "2 inputs, want 3"},
	})
}

func TestGemmGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Gemm", In: Vals(Normal(1, 3, 4), Normal(2, 4, 5), Normal(3, 5))},
		{Op: "Gemm", Attrs: onnx.NewAttrs("transA", 1, "alpha", float32(0.5), "beta", float32(2)), In: Vals(Normal(1, 4, 3), Normal(2, 4, 5), Normal(3, 3, 1))},
		{Op: "Gemm", Attrs: onnx.NewAttrs("transB", 1), In: Vals(Normal(1, 3, 4), Normal(2, 5, 4))},
		{Op: "Gemm", Attrs: onnx.NewAttrs("transA", 1, "transB", 1), In: Vals(Normal(1, 4, 3), Normal(2, 5, 4), Normal(3))},
	})
}
