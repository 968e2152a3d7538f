package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestLinearRegressor(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}, "intercepts", []float32{0.5}, "post_transform", "NONE"), In: Vals(F32([]int{2, 3}, 1.458, -2.63, 0.473, 4.232, 0.543, -1.544)), Want: Vals(F32([]int{2, 1}, 0.26169997, 0.56859994)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7}, "intercepts", []float32{0.3, 0.4}, "targets", 2, "post_transform", "NONE"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(F32([]int{2, 2}, 0.38000003, 0.64, 0.38000003, 0.68)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}, "intercepts", []float32{0.5}, "post_transform", "SOFTMAX"), In: Vals(F32([]int{2, 3}, 4.768, -1.088, -0.412, 0.609, -2.685, 2.23)), Want: Vals(F32([]int{2, 1}, 0.6356, 0.69290006)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7}, "intercepts", []float32{0.3, 0.4}, "targets", 2, "post_transform", "SOFTMAX"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(F32([]int{2, 2}, 0.43536374, 0.5646363, 0.4255575, 0.5744425)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}, "intercepts", []float32{0.5}, "post_transform", "LOGISTIC"), In: Vals(F32([]int{2, 3}, 3.238, 1.518, 0.661, -0.299, 1.773, -6.3)), Want: Vals(F32([]int{2, 1}, 1.3257, -1.0653001)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7}, "intercepts", []float32{0.3, 0.4}, "targets", 2, "post_transform", "LOGISTIC"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(F32([]int{2, 2}, 0.5938731, 0.65475345, 0.5938731, 0.66373867)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}, "intercepts", []float32{0.5}, "post_transform", "SOFTMAX_ZERO"), In: Vals(F32([]int{2, 3}, -0.25, 0.512, -3.971, 0.852, -0.255, -0.069)), Want: Vals(F32([]int{2, 1}, -0.61390007, 0.5135)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7}, "intercepts", []float32{0.3, 0.4}, "targets", 2, "post_transform", "SOFTMAX_ZERO"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(F32([]int{2, 2}, 0.43536374, 0.5646363, 0.4255575, 0.5744425)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7}, "intercepts", []float32{0.3, 0.4}, "targets", 2, "post_transform", "PROBIT"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(F32([]int{2, 2}, -0.30549085, 0.35847425, -0.30549085, 0.46773264)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearRegressor", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}), In: Vals(F32([]int{2, 2}, 0.203, 1.15, 0.916, -2.075)), Want: Vals(nil), Err: "X has 2 features, want 3"},
	})
}
