package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestScaler(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "Scaler", Opset: 1, Attrs: onnx.NewAttrs("offset", []float32{1.5, -2, 0.25}, "scale", []float32{0.5, 2, 3}), In: Vals(F32([]int{2, 3}, -3.477, -2.673, -2.722, -0.703, -4.625, -0.378)), Want: Vals(F32([]int{2, 3}, -2.4885, -1.3460002, -8.915999, -1.1015, -5.25, -1.8840001))},
		{Domain: "ai.onnx.ml", Op: "Scaler", Opset: 1, Attrs: onnx.NewAttrs("offset", []float32{1.5, -2, 0.25}, "scale", []float32{0.5, 2, 3}), In: Vals(F64([]int{2, 3}, -1.9140000343322754, 1.7869999408721924, 1.9140000343322754, 2.7850000858306885, 1.534999966621399, -0.10599999874830246)), Want: Vals(F32([]int{2, 3}, -1.707, 7.574, 4.992, 0.64250004, 7.0699997, -1.068))},
		{Domain: "ai.onnx.ml", Op: "Scaler", Opset: 1, Attrs: onnx.NewAttrs("offset", []float32{1.5, -2, 0.25}, "scale", []float32{0.5, 2, 3}), In: Vals(I64([]int{2, 3}, 1, 3, -1, 1, 0, 2)), Want: Vals(F32([]int{2, 3}, -0.25, 10, -3.75, -0.25, 4, 5.25))},
		{Domain: "ai.onnx.ml", Op: "Scaler", Opset: 1, Attrs: onnx.NewAttrs("offset", []float32{1.5, -2, 0.25}, "scale", []float32{0.5, 2, 3}), In: Vals(I32([]int{2, 3}, -1, 0, 0, 0, -3, 0)), Want: Vals(F32([]int{2, 3}, -1.25, 4, -0.75, -0.75, -2, -0.75))},
		{Domain: "ai.onnx.ml", Op: "Scaler", Opset: 1, Attrs: onnx.NewAttrs("offset", []float32{1}, "scale", []float32{3}), In: Vals(F32([]int{2, 3}, -0.237, -0.479, -0.311, 0.438, -3.633, 3.105)), Want: Vals(F32([]int{2, 3}, -3.711, -4.437, -3.933, -1.6860001, -13.899, 6.315))},
		{Domain: "ai.onnx.ml", Op: "Scaler", Opset: 1, Attrs: onnx.NewAttrs("offset", []float32{1.5, -2, 0.25}, "scale", []float32{0.5, 2, 3}), In: Vals(F32([]int{3}, -1.723, -4.483, -0.164)), Want: Vals(F32([]int{3}, -1.6115, -4.9659996, -1.242))},
		{Domain: "ai.onnx.ml", Op: "Scaler", Opset: 1, Attrs: onnx.NewAttrs("offset", []float32{1.5, -2, 0.25}, "scale", []float32{0.5, 2, 3}), In: Vals(F32([]int{2, 2}, 2.915, -1.037, 3.103, 3.114)), Want: Vals(nil), Err: "scale has 3 elements, want 1 or 2"},
		{Domain: "ai.onnx.ml", Op: "Scaler", Opset: 1, Attrs: onnx.NewAttrs("offset", []float32{1}, "scale", []float32{1, 2}), In: Vals(F32([]int{2, 2}, -1.725, -4.93, -2.47, 2.375)), Want: Vals(nil), Err: "want equal numbers"},
	})
}

// More elements than the values are repeated for, and no multiple of these.
func TestScalerRows(t *testing.T) {
	const n, f = 71, 3
	offset, scale := []float32{1.5, -2, 0.25}, []float32{0.5, 2, 3}
	x, y := make([]float32, n*f), make([]float32, n*f)
	wide := make([]float64, n*f)
	for i := range x {
		x[i] = float32(i%17) - 5.25
		wide[i] = float64(x[i])
		y[i] = (x[i] - offset[i%f]) * scale[i%f]
	}
	attrs := onnx.NewAttrs("offset", offset, "scale", scale)
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "Scaler", Opset: 1, Attrs: attrs, In: Vals(F32([]int{n, f}, x...)), Want: Vals(F32([]int{n, f}, y...))},
		{Domain: "ai.onnx.ml", Op: "Scaler", Opset: 1, Attrs: attrs, In: Vals(F64([]int{n, f}, wide...)), Want: Vals(F32([]int{n, f}, y...))},
	})
}
