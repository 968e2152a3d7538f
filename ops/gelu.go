package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
)

// Gelu: Y = X/2 * (1 + erf(X/sqrt(2))), element-wise; approximate "tanh": Y = X/2 * (1 + tanh(sqrt(2/pi) * (X + 0.044715*X^3))).
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Gelu.html
func init() {
	register(&Op{
		Name:     "Gelu",
		Numerics: Rounding,
		Flush:    true,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(20, buildGelu),
	})
}

func buildGelu(b *BuildContext) (Kernel, error) {
	if b.OneOf("approximate", "none", "tanh") == "tanh" {
		return b.need(0, floatKernels(vec.Best().GeluTanh, mapLoop(geluTanh64)))
	}
	return b.need(0, floatKernels(vec.Best().Gelu, mapLoop(gelu64)))
}

// gradGelu: Φ(x) + x·φ(x), or the slope of the approximation by tanh.
func gradGelu(c *GradContext) []*onnx.Value {
	if c.Attr.OneOf("approximate", "none", "tanh") == "tanh" {
		return gradActivation("GeluTanh", nil)(c)
	}
	return gradActivation("Gelu", nil)(c)
}
