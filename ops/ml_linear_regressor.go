package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// LinearRegressor: Y = post_transform(X · coefficientsᵀ + intercepts).
//
//	X: float32, float64, int64 or int32 [n, f] or [f]    coefficients: [targets, f]    Y: float32 [n, targets]
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxml_LinearRegressor.html
func init() {
	register(&Op{
		Domain: "ai.onnx.ml", Name: "LinearRegressor", Numerics: Rounding,
		Versions: []Version{
			{Since: 1, In: N(1), Out: N(1), Infer: inferLinearRegressor, Build: buildLinearRegressor},
		},
	})
}

func inferLinearRegressor(c *InferContext) error {
	n, err := mlBatch(c.In(0))
	if err != nil {
		return err
	}
	c.Out[0] = onnx.TensorType(tensor.Float32, n, onnx.Size(c.Int("targets", 1)))
	return nil
}

func buildLinearRegressor(b *BuildContext) (Kernel, error) {
	targets, coef, bias := b.Int("targets", 1), b.Floats("coefficients", nil), b.Floats("intercepts", nil)
	post := parsePost(&b.attrs)
	if targets < 1 || len(coef)%targets != 0 || len(bias) != 0 && len(bias) != targets {
		return nil, fmt.Errorf("%d coefficients and %d intercepts for %d targets", len(coef), len(bias), targets)
	}
	return func(c *Call) error {
		x, n, f, err := mlMatrix[float32](c)
		if err != nil {
			return err
		}
		if f*targets != len(coef) {
			return fmt.Errorf("X has %d features, want %d", f, len(coef)/targets)
		}
		y := tensor.Data[float32](c.Output(0, tensor.Float32, n, targets))
		c.P.For(n, max(1, (1<<14)/max(1, len(coef))), func(lo, hi int) {
			s := make([]float32, targets)
			for i := lo; i < hi; i++ {
				linearScores(s, x[i*f:(i+1)*f], coef, bias)
				if targets == 1 && post != postProbit { // one score is no distribution
					y[i] = s[0]
					continue
				}
				post.write(y[i*targets:(i+1)*targets], s, oneScoreAlone)
			}
		})
		return nil
	}, nil
}

// linearScores sets s to coef · x + bias.
func linearScores(s, x, coef, bias []float32) {
	for k := range s {
		v := float32(0)
		for j, w := range coef[k*len(x) : (k+1)*len(x)] {
			v += w * x[j]
		}
		if bias != nil {
			v += bias[k]
		}
		s[k] = v
	}
}
