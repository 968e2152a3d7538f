package ops

import "fmt"

// Momentum (ai.onnx.preview.training): one step of gradient descent with
// momentum. For each element
//
//	G' = norm_coefficient*X + G
//	V_new = alpha*V + (beta if T > 0, else 1)*G'
//	X_new = X - R*V_new (mode "standard") or X - R*(G' + alpha*V_new) (mode "nesterov")
//
//	R: scalar    T: int64 scalar    inputs: X_1, …, X_n, G_1, …, V_1, …    outputs: X_new_1, …, V_new_1, …
//
// X, G, V: float32 or float64, of one shape; computed in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Momentum.html
func init() {
	register(&Op{
		Domain: "ai.onnx.preview.training", Name: "Momentum", Numerics: Rounding, Flush: true,
		Versions: []Version{
			{Since: 1, In: Arity{3, Many}, Out: Arity{1, Many}, Infer: inferTrainingStep(2), Build: buildMomentum},
		},
	})
}

func buildMomentum(b *BuildContext) (Kernel, error) {
	for _, name := range []string{"alpha", "beta", "mode", "norm_coefficient"} {
		if !b.HasAttr(name) {
			return nil, fmt.Errorf("attribute %q is missing", name)
		}
	}
	alpha, beta, norm := float64(b.Float("alpha", 0)), float64(b.Float("beta", 0)), float64(b.Float("norm_coefficient", 0))
	nesterov := b.OneOf("mode", "standard", "nesterov") == "nesterov"
	factors := func(r, t float64) [2]float64 {
		if t > 0 {
			return [2]float64{r, beta}
		}
		return [2]float64{r, 1}
	}
	return trainingStep(2, factors, func(k [2]float64, x, g float64, m [2]float64) (float64, [2]float64) {
		g += norm * x
		m[0] = alpha*m[0] + k[1]*g
		if nesterov {
			return x - k[0]*(g+alpha*m[0]), m
		}
		return x - k[0]*m[0], m
	}), nil
}
