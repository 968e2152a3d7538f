package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestLinearClassifier(t *testing.T) {
	Run(t, []Case{
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7}, "intercepts", []float32{0.3, 0.4}, "classlabels_ints", []int{3, 4}, "post_transform", "NONE"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(I64([]int{2}, 4, 4), F32([]int{2, 2}, 0.38000003, 0.64, 0.38000003, 0.68)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.1, 0.1, 0.9}, "intercepts", []float32{0.3, 0.4, 0.35}, "classlabels_strings", []string{"a", "b", "c"}, "post_transform", "NONE"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(Of[string]([]int{2}, "b", "b"), F32([]int{2, 3}, 0.38000003, 0.64, 0.47, 0.38000003, 0.68, 0.48)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Name: "one row NONE", Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}, "intercepts", []float32{0.1}, "classlabels_ints", []int{3, 4}, "post_transform", "NONE"), In: Vals(F32([]int{3, 3}, -0.234, -0.364, 0.077, -1.182, 1.94, 2.609, 3.043, 3.811, 2.987)), Want: Vals(I64([]int{3}, 4, 4, 4), F32([]int{3, 2}, 0.9731, 0.026900008, -0.15250003, 1.1525, -1.0626001, 2.0626001)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7}, "intercepts", []float32{0.3, 0.4}, "classlabels_ints", []int{3, 4}, "post_transform", "SOFTMAX"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(I64([]int{2}, 4, 4), F32([]int{2, 2}, 0.43536374, 0.5646363, 0.4255575, 0.5744425)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.1, 0.1, 0.9}, "intercepts", []float32{0.3, 0.4, 0.35}, "classlabels_strings", []string{"a", "b", "c"}, "post_transform", "SOFTMAX"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(Of[string]([]int{2}, "b", "b"), F32([]int{2, 3}, 0.29488918, 0.38245064, 0.32266015, 0.28943315, 0.39069384, 0.31987306)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Name: "one row SOFTMAX", Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}, "intercepts", []float32{0.1}, "classlabels_ints", []int{3, 4}, "post_transform", "SOFTMAX"), In: Vals(F32([]int{3, 3}, -0.92, -1.229, -0.795, 1.117, -0.26, 1.982, 3.301, -0.861, 1.959)), Want: Vals(I64([]int{3}, 3, 4, 4), F32([]int{3, 2}, 1.4763, -0.47630003, 0.24569994, 0.75430006, 0.15439993, 0.84560007)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7}, "intercepts", []float32{0.3, 0.4}, "classlabels_ints", []int{3, 4}, "post_transform", "LOGISTIC"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(I64([]int{2}, 4, 4), F32([]int{2, 2}, 0.5938731, 0.65475345, 0.5938731, 0.66373867)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.1, 0.1, 0.9}, "intercepts", []float32{0.3, 0.4, 0.35}, "classlabels_strings", []string{"a", "b", "c"}, "post_transform", "LOGISTIC"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(Of[string]([]int{2}, "b", "b"), F32([]int{2, 3}, 0.5938731, 0.65475345, 0.61538374, 0.5938731, 0.66373867, 0.61774784)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Name: "one row LOGISTIC", Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}, "intercepts", []float32{0.1}, "classlabels_ints", []int{3, 4}, "post_transform", "LOGISTIC"), In: Vals(F32([]int{3, 3}, -0.786, -2.533, -2.538, -0.638, -3.798, 0.999, 3.021, -2.33, -0.669)), Want: Vals(I64([]int{3}, 3, 3, 3), F32([]int{3, 2}, 0.77671075, 0.22328925, 0.6043683, 0.39563167, 0.56576675, 0.43423325)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7}, "intercepts", []float32{0.3, 0.4}, "classlabels_ints", []int{3, 4}, "post_transform", "SOFTMAX_ZERO"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(I64([]int{2}, 4, 4), F32([]int{2, 2}, 0.43536374, 0.5646363, 0.4255575, 0.5744425)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.1, 0.1, 0.9}, "intercepts", []float32{0.3, 0.4, 0.35}, "classlabels_strings", []string{"a", "b", "c"}, "post_transform", "SOFTMAX_ZERO"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(Of[string]([]int{2}, "b", "b"), F32([]int{2, 3}, 0.29488918, 0.38245064, 0.32266015, 0.28943315, 0.39069384, 0.31987306)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Name: "one row SOFTMAX_ZERO", Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}, "intercepts", []float32{0.1}, "classlabels_ints", []int{3, 4}, "post_transform", "SOFTMAX_ZERO"), In: Vals(F32([]int{3, 3}, 3.087, 0.694, 0.391, -0.523, 2.037, 0.658, -2.168, -4.864, -5.363)), Want: Vals(I64([]int{3}, 4, 4, 3), F32([]int{3, 2}, 0.33519995, 0.66480005, 0.34749997, 0.65250003, 3.6985002, -2.6985002)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7}, "intercepts", []float32{0.3, 0.4}, "classlabels_ints", []int{3, 4}, "post_transform", "PROBIT"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(I64([]int{2}, 4, 4), F32([]int{2, 2}, -0.30549085, 0.35847425, -0.30549085, 0.46773264)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.1, 0.1, 0.9}, "intercepts", []float32{0.3, 0.4, 0.35}, "classlabels_strings", []string{"a", "b", "c"}, "post_transform", "PROBIT"), In: Vals(F32([]int{2, 3}, 0.1, 0.2, 0.1, 0.3, 0.1, 0.1)), Want: Vals(Of[string]([]int{2}, "b", "b"), F32([]int{2, 3}, -0.30549085, 0.35847425, -0.07527137, -0.30549085, 0.46773264, -0.05014817)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}, "intercepts", []float32{0.1}, "classlabels_strings", []string{"n", "p"}), In: Vals(I64([]int{3, 3}, 1, 0, 2, 1, -2, 0, 2, -1, -1)), Want: Vals(Of[string]([]int{3}, "p", "n", "n"), F32([]int{3, 2}, 0.19999993, 0.8000001, 1.2, -0.20000002, 1.2, -0.20000002)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}, "intercepts", []float32{0.1}, "classlabels_ints", []int{3, 4}), In: Vals(F32([]int{2, 2}, 3.482, -3.493, -2.181, 2.1)), Want: Vals(nil, nil), Err: "X has 2 features, want 3"},
		{Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1, Attrs: onnx.NewAttrs("coefficients", []float32{0.1, 0.2, 0.3}, "intercepts", []float32{0.1}), In: Vals(F32([]int{2, 3}, 0.398, -2.285, -2.91, 0.927, 2.429, 1.653)), Want: Vals(nil, nil), Err: "neither classlabels_ints"},
	})
}

// Rows are classified many at a time; each is what it is alone.
func TestLinearClassifierRows(t *testing.T) {
	const n, f, classes = 133, 37, 5
	coef, bias, x := make([]float32, classes*f), make([]float32, classes), make([]float32, n*f)
	for i := range coef {
		coef[i] = float32(i*7%23)/23 - 0.5
	}
	for i := range bias {
		bias[i] = float32(i) / 8
	}
	for i := range x {
		x[i] = float32(i*5%31)/31 - 0.5
	}
	for _, post := range []string{"NONE", "SOFTMAX", "LOGISTIC"} {
		labels, z := make([]int64, n), make([]float32, n*classes)
		for i := range n {
			s := make([]float64, classes)
			sum := 0.0
			for k := range s {
				s[k] = float64(bias[k])
				for j := range f {
					s[k] += float64(coef[k*f+j]) * float64(x[i*f+j])
				}
				if s[k] > s[labels[i]] {
					labels[i] = int64(k)
				}
				sum += math.Exp(s[k])
			}
			for k, v := range s {
				switch post {
				case "SOFTMAX":
					v = math.Exp(v) / sum
				case "LOGISTIC":
					v = 1 / (1 + math.Exp(-v))
				}
				z[i*classes+k] = float32(v)
			}
			labels[i] += 10
		}
		names := make([]string, n)
		for i, l := range labels {
			names[i] = string(rune('a' + l - 10))
		}
		Run(t, []Case{{
			Name: post + " strings", Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1,
			Attrs: onnx.NewAttrs("coefficients", coef, "intercepts", bias, "classlabels_strings", []string{"a", "b", "c", "d", "e"}, "post_transform", post),
			In:    Vals(F32([]int{n, f}, x...)), Want: Vals(Of([]int{n}, names...), F32([]int{n, classes}, z...)), Tol: tensor.Tolerance{Rel: 1e-5, Abs: 1e-6},
		}, {
			Name: post, Domain: "ai.onnx.ml", Op: "LinearClassifier", Opset: 1,
			Attrs: onnx.NewAttrs("coefficients", coef, "intercepts", bias, "classlabels_ints", []int{10, 11, 12, 13, 14}, "post_transform", post),
			In:    Vals(F32([]int{n, f}, x...)), Want: Vals(I64([]int{n}, labels...), F32([]int{n, classes}, z...)), Tol: tensor.Tolerance{Rel: 1e-5, Abs: 1e-6},
		}})
	}
}
