package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestDynamicQuantizeLSTM(t *testing.T) {
	x := F32([]int{3, 2, 2}, 2.04, -2.56, 0.42, -0.57, -0.45, -0.22, -2.02, -0.23, -0.87, 3.32, 0.23, -0.35)
	w, r := Of([]int{1, 2, 8}, []int8{-16, -14, 33, 17, -66, 47, 51, 91, 57, -44, -37, 29, 30, 39, 73, -42}...), Of([]int{1, 2, 8}, []int8{87, -100, -85, 94, 88, -41, -73, -38, -92, 78, 32, 17, -52, -6, -62, 54}...)
	bias := F32([]int{1, 16}, -0.06, 0.25, -0.22, -0.07, 0.22, 0.15, 0.02, 0.17, -0.71, 0.26, -0.24, -0.42, 0.07, 0.18, -0.11, -0.27)
	ws, rs, zero := F32([]int{1}, 0.01), F32([]int{1}, 0.007), Of([]int{1}, int8(0))
	tol := tensor.Tolerance{Rel: 1e-5, Abs: 1e-4}
	at := onnx.NewAttrs("hidden_size", 2)
	Run(t, []Case{
		// What ONNX Runtime computes.
		{Domain: "com.microsoft", Op: "DynamicQuantizeLSTM", Attrs: at, In: Vals(x, w, r, bias, nil, nil, nil, nil, ws, zero, rs, zero), Tol: tol,
			Want: Vals(F32([]int{3, 1, 2, 2}, -0.03991709, 0.1918485, -0.03259313, 0.1105202, -0.06521606, 0.05929853, -0.09061762, -0.1505545, 0.06704997, -0.101569, -0.09110928, -0.06801824), F32([]int{1, 2, 2}, 0.06704997, -0.101569, -0.09110928, -0.06801824), F32([]int{1, 2, 2}, 0.5859096, -0.1796326, -0.2094695, -0.1980844))},
		{Domain: "com.microsoft", Op: "DynamicQuantizeLSTM", Attrs: at, In: Vals(x, w, r, bias, nil, nil, nil, nil, ws, ws, rs, zero), Want: Vals(x), Err: "W_zero_point float32"},
		{Domain: "com.microsoft", Op: "DynamicQuantizeLSTM", Attrs: at, In: Vals(x, w, w, bias, nil, nil, nil, nil, ws, zero, F32([]int{3}, 1, 1, 1), zero), Want: Vals(x), Err: "R_scale is float32 [3]"},
		{Domain: "com.microsoft", Op: "DynamicQuantizeLSTM", Attrs: at, In: Vals(x, x, r, bias, nil, nil, nil, nil, ws, zero, rs, zero), Want: Vals(x), Err: "W is float32 [3 2 2]"},
	})
}
