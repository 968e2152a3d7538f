package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestNormalizer(t *testing.T) {
	Run(t, []Case{
		{Name: "squares outside of float32", Domain: "ai.onnx.ml", Op: "Normalizer", Opset: 1, Attrs: onnx.NewAttrs("norm", "L2"), In: Vals(F32([]int{2, 2}, 3e30, 4e30, 3e-30, 4e-30)), Want: Vals(F32([]int{2, 2}, 0.6, 0.8, 0.6, 0.8)), Tol: tensor.Tolerance{Rel: 1e-6}},
		{Domain: "ai.onnx.ml", Op: "Normalizer", Opset: 1, Attrs: onnx.NewAttrs("norm", "MAX"), In: Vals(F32([]int{2, 3}, -1.634, -3.021, -2.675, 0, -0.052, 1.744)), Want: Vals(F32([]int{2, 3}, 1, 1.8488373, 1.637087, 0, -0.029816516, 1)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "Normalizer", Opset: 1, Attrs: onnx.NewAttrs("norm", "MAX"), In: Vals(I64([]int{2, 2}, 0, 0, -1, -2)), Want: Vals(F32([]int{2, 2}, 0, 0, 1, 2)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "Normalizer", Opset: 1, Attrs: onnx.NewAttrs("norm", "L1"), In: Vals(F32([]int{2, 3}, 1.978, -1.864, -0.314, -2.268, 0.144, -2.301)), Want: Vals(F32([]int{2, 3}, 0.4759384, -0.44850814, -0.07555342, -0.4812221, 0.030553784, -0.48822406)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "Normalizer", Opset: 1, Attrs: onnx.NewAttrs("norm", "L1"), In: Vals(I64([]int{2, 2}, 0, 0, -1, -2)), Want: Vals(F32([]int{2, 2}, 0, 0, -0.33333334, -0.6666667)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "Normalizer", Opset: 1, Attrs: onnx.NewAttrs("norm", "L2"), In: Vals(F32([]int{2, 3}, -2.401, 4.247, 0.065, 1.286, 5.076, 1.572)), Want: Vals(F32([]int{2, 3}, -0.49209464, 0.87043977, 0.013322012, 0.23521908, 0.9284386, 0.28753063)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "Normalizer", Opset: 1, Attrs: onnx.NewAttrs("norm", "L2"), In: Vals(I64([]int{2, 2}, 0, 0, -1, -2)), Want: Vals(F32([]int{2, 2}, 0, 0, -0.4472136, -0.8944272)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "Normalizer", Opset: 1, Attrs: onnx.NewAttrs("norm", "L2"), In: Vals(F32([]int{3}, -0.228, 0.109, -1.489)), Want: Vals(F32([]int{3}, -0.15096405, 0.07217141, -0.9859012)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "Normalizer", Opset: 1, Attrs: onnx.NewAttrs("norm", "L1"), In: Vals(F64([]int{2, 3}, 2.188999891281128, -0.6610000133514404, 3.5250000953674316, -0.6899999976158142, -0.7070000171661377, -0.8389999866485596)), Want: Vals(F32([]int{2, 3}, 0.34337252, -0.10368627, 0.5529412, -0.30858675, -0.31618962, -0.3752236)), Tol: tensor.Tolerance{Rel: 1e-05, Abs: 1e-06}},
		{Domain: "ai.onnx.ml", Op: "Normalizer", Opset: 1, Attrs: onnx.NewAttrs("norm", "L3"), In: Vals(F32([]int{2, 3}, 1.251, 0.374, 2.743, -1.107, 0.58, 3.876)), Want: Vals(nil), Err: "want one of"},
	})
}

// Many rows of few elements, some of which are 0, infinite, NaN, or have no squares: each is what it is alone.
func TestNormalizerRows(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	odd := [][]float32{{0}, {inf}, {nan}, {1e30, 2e30}, {1e-30, -3e-30}, {-1}}
	for _, f := range []int{2, 5, 32, 33} {
		const n = 150
		x := make([]float32, n*f)
		for i := range x {
			x[i] = float32(i*7%31)/31 - 0.4
			if r := i / f; r%4 == 1 {
				o := odd[r/4%len(odd)]
				x[i] = o[i%len(o)]
			}
		}
		for _, norm := range []string{"MAX", "L1", "L2"} {
			want := make([]float32, 0, n*f)
			for i := 0; i < len(x); i += f {
				d := 0.0
				for j, v := range x[i : i+f] {
					switch v := float64(v); {
					case norm == "MAX" && j == 0:
						d = v
					case norm == "MAX":
						d = max(d, v)
					case norm == "L1":
						d += math.Abs(v)
					default:
						d += v * v
					}
				}
				if norm == "L2" {
					d = math.Sqrt(d)
				}
				if d == 0 {
					d = 1
				}
				for _, v := range x[i : i+f] {
					want = append(want, float32(float64(v)/d))
				}
			}
			Run(t, []Case{{Name: norm, Domain: "ai.onnx.ml", Op: "Normalizer", Attrs: onnx.NewAttrs("norm", norm), In: Vals(F32([]int{n, f}, x...)),
				Want: Vals(F32([]int{n, f}, want...)), Tol: tensor.Tolerance{Rel: 2e-6}}})
		}
	}
}
