package ops_test

import (
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestSVMRegressor(t *testing.T) {
	Run(t, []Case{
		{Name: "LINEAR", Domain: "ai.onnx.ml", Op: "SVMRegressor", Opset: 1, Attrs: onnx.NewAttrs("kernel_type", "LINEAR", "kernel_params", []float32{0, 0, 0}, "support_vectors", []float32{-1.914, 1.787, 1.914, 2.785, 1.535, -0.106, 1.72, 3.011}, "coefficients", []float32{-1.307, 1.221, -0.085, 2.88}, "rho", []float32{0.3}, "n_supports", 4), In: Vals(F32([]int{3, 2}, -3.477, -2.673, -2.722, -0.703, -4.625, -0.378)), Want: Vals(F32([]int{3, 1}, -59.34369, -32.850327, -48.069267)), Tol: tensor.Tolerance{Rel: 0.0001, Abs: 1e-05}},
		{Name: "POLY", Domain: "ai.onnx.ml", Op: "SVMRegressor", Opset: 1, Attrs: onnx.NewAttrs("kernel_type", "POLY", "kernel_params", []float32{0.2, 0.5, 3}, "support_vectors", []float32{-0.237, -0.479, -0.311, 0.438, -3.633, 3.105, -1.723, -4.483}, "coefficients", []float32{-0.164, 2.915, -1.037, 3.103}, "rho", []float32{0.3}, "n_supports", 4), In: Vals(F32([]int{3, 2}, -1.674, -0.603, 0.725, 0.516, -3.279, 0.72)), Want: Vals(F32([]int{3, 1}, 11.3722105, 0.59675825, -33.737625)), Tol: tensor.Tolerance{Rel: 0.0001, Abs: 1e-05}},
		{Name: "RBF", Domain: "ai.onnx.ml", Op: "SVMRegressor", Opset: 1, Attrs: onnx.NewAttrs("kernel_type", "RBF", "kernel_params", []float32{0.3, 0, 0}, "support_vectors", []float32{-3.021, -2.675, 0, -0.052, 1.744, 1.978, -1.864, -0.314}, "coefficients", []float32{-2.268, 0.144, -2.301, -2.401}, "rho", []float32{0.3}, "n_supports", 4), In: Vals(F32([]int{3, 2}, 3.114, -1.725, -4.93, -2.47, 2.375, -1.634)), Want: Vals(F32([]int{3, 1}, 0.28116772, -0.48598188, 0.26500103)), Tol: tensor.Tolerance{Rel: 0.0001, Abs: 1e-05}},
		{Name: "SIGMOID", Domain: "ai.onnx.ml", Op: "SVMRegressor", Opset: 1, Attrs: onnx.NewAttrs("kernel_type", "SIGMOID", "kernel_params", []float32{0.1, 0.2, 0}, "support_vectors", []float32{0.109, -1.489, 2.189, -0.661, 3.525, -0.69, -0.707, -0.839}, "coefficients", []float32{1.251, 0.374, 2.743, -1.107}, "rho", []float32{0.3}, "n_supports", 4), In: Vals(F32([]int{3, 2}, 4.247, 0.065, 1.286, 5.076, 1.572, -0.228)), Want: Vals(F32([]int{3, 1}, 3.5731874, 0.88196963, 2.4526505)), Tol: tensor.Tolerance{Rel: 0.0001, Abs: 1e-05}},
		{Name: "no vectors", Domain: "ai.onnx.ml", Op: "SVMRegressor", Opset: 1, Attrs: onnx.NewAttrs("kernel_type", "LINEAR", "kernel_params", []float32{0, 0, 0}, "coefficients", []float32{-1.269, -4.125}, "rho", []float32{0.3}), In: Vals(F32([]int{3, 2}, 0.58, 3.876, -0.481, 1.065, 3.144, 1.107)), Want: Vals(F32([]int{3, 1}, -16.42452, -3.4827363, -8.256111)), Tol: tensor.Tolerance{Rel: 0.0001, Abs: 1e-05}},
		{Name: "one class", Domain: "ai.onnx.ml", Op: "SVMRegressor", Opset: 1, Attrs: onnx.NewAttrs("kernel_type", "RBF", "kernel_params", []float32{0.3, 0, 0}, "support_vectors", []float32{0.736, -0.973, -0.446, -3.245, -0.981, 0.32, -2.502, 0.148}, "coefficients", []float32{1.327, -0.614, -1.242, -1.24}, "rho", []float32{0.3}, "n_supports", 4, "one_class", 1), In: Vals(F32([]int{4, 2}, 4.786, 0.861, 2.521, -0.953, 3.637, 1.039, 0.1, -1.804)), Want: Vals(F32([]int{4, 1}, 1, 1, 1, 1)), Tol: tensor.Tolerance{Rel: 0.0001, Abs: 1e-05}},
		{Domain: "ai.onnx.ml", Op: "SVMRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{-2.684, -1.783}, "rho", []float32{0.3}), In: Vals(F32([]int{3, 3}, 1.882, -3.069, -0.601, -0.839, 0.288, -0.139, -2.215, 4.08, 0.355)), Want: Vals(nil), Err: "X has 3 features, want 2"},
		{Domain: "ai.onnx.ml", Op: "SVMRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{1.706, 3.402}), In: Vals(F32([]int{3, 2}, 0.195, 1.226, -2.684, 1.423, -2.747, -1.589)), Want: Vals(nil), Err: "0 values of rho"},
		{Domain: "ai.onnx.ml", Op: "SVMRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{1, 2}, "support_vectors", []float32{1, 2}, "rho", []float32{0}, "n_supports", -2), In: Vals(F32([]int{1, 2}, 1, 2)), Want: Vals(nil), Err: "for -2 vectors"},
	})
}

// More vectors and features than are taken at once.
func TestSVMRegressorLarge(t *testing.T) {
	const n, f, rows = 523, 37, 19
	r := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64()) / 4
		}
		return v
	}
	vectors, coef, x := random(n*f), random(n), random(rows*f)
	for kind, kernel := range map[string]func(dot, square float64) float64{
		"LINEAR":  func(dot, _ float64) float64 { return dot },
		"POLY":    func(dot, _ float64) float64 { return math.Pow(0.2*dot+0.5, 2.5) },
		"RBF":     func(_, square float64) float64 { return math.Exp(-0.2 * square) },
		"SIGMOID": func(dot, _ float64) float64 { return math.Tanh(0.2*dot + 0.5) },
	} {
		power := float32(0)
		if kind == "POLY" {
			power = 2.5
			for i, v := range x { // what has no root is no number
				x[i] = max(v, -v)
			}
			for i, v := range vectors {
				vectors[i] = max(v, -v)
			}
		}
		want := make([]float32, rows)
		for i := range want {
			sum := 0.3
			for k := range n {
				dot, square := 0.0, 0.0
				for j := range f {
					a, b := float64(x[i*f+j]), float64(vectors[k*f+j])
					dot, square = dot+a*b, square+(a-b)*(a-b)
				}
				sum += float64(coef[k]) * kernel(dot, square)
			}
			want[i] = float32(sum)
		}
		Run(t, []Case{{Name: kind, Domain: "ai.onnx.ml", Op: "SVMRegressor", Opset: 1, Attrs: onnx.NewAttrs("kernel_type", kind, "kernel_params", []float32{0.2, 0.5, power}, "support_vectors", vectors, "coefficients", coef, "rho", []float32{0.3}, "n_supports", n),
			In: Vals(F32([]int{rows, f}, x...)), Want: Vals(F32([]int{rows, 1}, want...)), Tol: tensor.Tolerance{Rel: 1e-4, Abs: 1e-4}}})
	}
}
