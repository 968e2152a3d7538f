package ops

import "math"

// Adam (ai.onnx.preview.training): one step of Adam. For each element
//
//	G' = norm_coefficient*X + G
//	V_new = alpha*V + (1-alpha)*G'
//	H_new = beta*H + (1-beta)*G'^2
//	R' = R * sqrt(1-beta^T) / (1-alpha^T) if T > 0, else R
//	X_new = (1-norm_coefficient_post) * (X - R' * V_new / (sqrt(H_new) + epsilon))
//
//	R: scalar    T: int64 scalar    inputs: X_1, …, X_n, G_1, …, V_1, …, H_1, …
//	outputs: X_new_1, …, V_new_1, …, H_new_1, …
//
// X, G, V, H: float32 or float64, of one shape; computed in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Adam.html
func init() {
	register(&Op{
		Domain: "ai.onnx.preview.training", Name: "Adam", Numerics: Rounding, Flush: true,
		Versions: []Version{
			{Since: 1, In: Arity{3, Many}, Out: Arity{1, Many}, Infer: inferTrainingStep(3), Build: buildAdam},
		},
	})
}

func buildAdam(b *BuildContext) (Kernel, error) {
	alpha, beta, eps := float64(b.Float("alpha", 0.9)), float64(b.Float("beta", 0.999)), float64(b.Float("epsilon", 1e-6))
	norm, post := float64(b.Float("norm_coefficient", 0)), float64(b.Float("norm_coefficient_post", 0))
	rate := func(r, t float64) [2]float64 {
		if t > 0 {
			r *= math.Sqrt(1-math.Pow(beta, t)) / (1 - math.Pow(alpha, t))
		}
		return [2]float64{r}
	}
	return trainingStep(3, rate, func(k [2]float64, x, g float64, m [2]float64) (float64, [2]float64) {
		g += norm * x
		m[0] = alpha*m[0] + (1-alpha)*g
		m[1] = beta*m[1] + (1-beta)*g*g
		return (1 - post) * (x - k[0]*m[0]/(math.Sqrt(m[1])+eps)), m
	}), nil
}
