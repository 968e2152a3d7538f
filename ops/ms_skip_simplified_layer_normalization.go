package ops

import "github.com/gneiss-run/gneiss/onnx"

// SkipSimplifiedLayerNormalization (com.microsoft): with s = input + skip + bias,
// output = s / sqrt(mean(s²) + epsilon) * gamma over the last dimension.
//
//	input: T[b, t, h] or [t, h]    skip: T, input's shape, or [1, t, h] or [t, h] to add to each of the batch
//	gamma, bias (optional): T[h]
//	output: T    mean (0: nothing is subtracted), inv_std_var (optional): float32[b, t, 1]    input_skip_bias_sum (optional): T
//
// Spec: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
func init() {
	register(&Op{Domain: "com.microsoft", Name: "SkipSimplifiedLayerNormalization", Numerics: Rounding, Versions: []Version{
		{Since: 1, In: Arity{3, 4}, Out: Arity{1, 4}, Infer: inferSkipLayerNorm, Build: func(b *BuildContext) (Kernel, error) {
			return buildSkipLayerNorm(b, false)
		}},
	}})
}

func gradMSSkipSimplifiedLayerNormalization(c *GradContext) []*onnx.Value {
	return gradSkipLayerNorm(false)(c)
}
