package ops

import "math"

// Adagrad (ai.onnx.preview.training): one step of ADAGRAD. For each element
//
//	G' = norm_coefficient*X + G
//	H_new = H + G'^2
//	X_new = X - R / (1 + T*decay_factor) * G' / (sqrt(H_new) + epsilon)
//
//	R: scalar    T: int64 scalar    inputs: X_1, …, X_n, G_1, …, H_1, …    outputs: X_new_1, …, H_new_1, …
//
// X, G, H: float32 or float64, of one shape; computed in float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx_aionnxpreviewtraining_Adagrad.html
func init() {
	register(&Op{
		Domain: "ai.onnx.preview.training", Name: "Adagrad", Numerics: Rounding, Flush: true,
		Versions: []Version{
			{Since: 1, In: Arity{3, Many}, Out: Arity{1, Many}, Infer: inferTrainingStep(2), Build: buildAdagrad},
		},
	})
}

func buildAdagrad(b *BuildContext) (Kernel, error) {
	decay, eps, norm := float64(b.Float("decay_factor", 0)), float64(b.Float("epsilon", 1e-6)), float64(b.Float("norm_coefficient", 0))
	rate := func(r, t float64) [2]float64 { return [2]float64{r / (1 + t*decay)} }
	return trainingStep(2, rate, func(k [2]float64, x, g float64, m [2]float64) (float64, [2]float64) {
		g += norm * x
		m[0] += g * g
		return x - k[0]*g/(math.Sqrt(m[0])+eps), m
	}), nil
}
