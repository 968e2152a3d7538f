package ops

import "github.com/gneiss-run/gneiss/onnx"

// InstanceNormalization: output = scale * (input - mean) / sqrt(var + epsilon) + B,
// the statistics per instance and channel, made in float64.
//
//	input: T[n, c, ...]    scale, B: T[c]    output: T[n, c, ...]; may share input's storage
//
// Spec: https://onnx.ai/onnx/operators/onnx__InstanceNormalization.html
func init() {
	register(&Op{Name: "InstanceNormalization", Numerics: Rounding, Versions: []Version{
		// 6 dropped consumed_inputs, 22 added bfloat16.
		{Since: 1, In: N(3), Out: N(1), InPlace: []int{0}, Infer: inferSame, Build: buildInstanceNormalization},
	}})
}

func gradInstanceNormalization(c *GradContext) []*onnx.Value {
	return gradGroupNorm(false)(c)
}

func buildInstanceNormalization(b *BuildContext) (Kernel, error) {
	b.Ignore("consumed_inputs")
	eps := float64(b.Float("epsilon", 1e-5))
	return b.realKernels(0, groupNormKernel[float32](0, eps, false), groupNormKernel[float64](0, eps, false))
}
