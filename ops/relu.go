package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Relu: Y = max(X, 0), element-wise; NaN stays NaN.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: signed integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Relu.html
func init() {
	register(&Op{
		Name:     "Relu",
		Numerics: Exact,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, vecTable(func(t *vec.Table) byType {
			return merge(
				floatKernels(t.Relu, reluLoop64),
				byType{tensor.Int8: unaryKernel(reluLoop[int8]), tensor.Int16: unaryKernel(reluLoop[int16]), tensor.Int32: unaryKernel(reluLoop[int32]), tensor.Int64: unaryKernel(reluLoop[int64])},
			)
		})),
	})
}

func gradRelu(c *GradContext) []*onnx.Value {
	return gradActivation("Relu", nil)(c)
}
