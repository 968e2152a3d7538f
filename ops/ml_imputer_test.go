package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestImputer(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "Imputer", Opset: 1, Attrs: onnx.NewAttrs("replaced_value_float", float32(2), "imputed_value_floats", []float32{7, 8}), In: Vals(F32([]int{2, 2}, 1, 2, 2, 4)), Want: Vals(F32([]int{2, 2}, 1, 8, 7, 4))},
		{Domain: "ai.onnx.ml", Op: "Imputer", Opset: 1, Attrs: onnx.NewAttrs("replaced_value_int64", 2, "imputed_value_int64s", []int{7}), In: Vals(I64([]int{2, 2}, 1, 2, 2, 4)), Want: Vals(I64([]int{2, 2}, 1, 7, 7, 4))},
		{Domain: "ai.onnx.ml", Op: "Imputer", Opset: 1, Attrs: onnx.NewAttrs("replaced_value_float", float32(2), "imputed_value_floats", []float32{7}), In: Vals(F64([]int{2}, 1, 2)), Want: Vals(F64([]int{2}, 1, 7))},
		{Domain: "ai.onnx.ml", Op: "Imputer", Opset: 1, Attrs: onnx.NewAttrs("replaced_value_int64", 2, "imputed_value_int64s", []int{7, 8, 9}), In: Vals(I64([]int{2, 2}, 1, 2, 2, 4)), Want: Vals(nil), Err: "3 imputed values for int64, want 1 or 2"},
	})
}

func TestImputerNaN(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	negative := math.Float32frombits(math.Float32bits(nan) | 1<<31)
	Run(t, []Case{{
		Domain: "ai.onnx.ml", Op: "Imputer", Attrs: onnx.NewAttrs("replaced_value_float", nan, "imputed_value_floats", []float32{7}),
		In: Vals(F32([]int{2, 2}, inf, negative, -inf, nan)), Want: Vals(F32([]int{2, 2}, inf, 7, -inf, 7)),
	}, {
		Domain: "ai.onnx.ml", Op: "Imputer", Attrs: onnx.NewAttrs("replaced_value_float", nan, "imputed_value_floats", []float32{7, 8}),
		In: Vals(F32([]int{2, 2}, 1, nan, nan, 4)), Want: Vals(F32([]int{2, 2}, 1, 8, 7, 4)),
	}})
}

// More elements than the values are repeated for, and no multiple of these.
func TestImputerRows(t *testing.T) {
	const n, f = 71, 3
	x, each, one := make([]float32, n*f), make([]float32, n*f), make([]float32, n*f)
	for i := range x {
		x[i] = float32(i % 5)
		each[i], one[i] = x[i], x[i]
		if x[i] == 2 {
			each[i], one[i] = []float32{7, 8, 9}[i%f], 6
		}
	}
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "Imputer", Opset: 1, Attrs: onnx.NewAttrs("imputed_value_floats", []float32{7, 8, 9}, "replaced_value_float", float32(2)), In: Vals(F32([]int{n, f}, x...)), Want: Vals(F32([]int{n, f}, each...))},
		{Domain: "ai.onnx.ml", Op: "Imputer", Opset: 1, Attrs: onnx.NewAttrs("imputed_value_floats", []float32{6}, "replaced_value_float", float32(2)), In: Vals(F32([]int{n, f}, x...)), Want: Vals(F32([]int{n, f}, one...))},
	})
}
