package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Abs: Y = |X|, element-wise. The least signed integer stays as it is.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Abs.html
func init() {
	register(&Op{
		Name:     "Abs",
		Numerics: Exact,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, vecTable(func(t *vec.Table) byType {
			return merge(
				floatKernels(t.Abs, t.Abs64),
				byType{tensor.Int8: unaryKernel(absLoop[int8]), tensor.Int16: unaryKernel(absLoop[int16]), tensor.Int32: unaryKernel(absLoop[int32]), tensor.Int64: unaryKernel(absLoop[int64])},
				byType{tensor.Uint8: unaryKernel(sameLoop[uint8]), tensor.Uint16: unaryKernel(sameLoop[uint16]), tensor.Uint32: unaryKernel(sameLoop[uint32]), tensor.Uint64: unaryKernel(sameLoop[uint64])},
			)
		})),
	})
}

func gradAbs(c *GradContext) []*onnx.Value {
	return gradUnary(func(c *GradContext, x, _ *onnx.Value) *onnx.Value { return c.Op("Sign", nil, x) })(c)
}
