package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Neg: Y = -X, element-wise. The least signed integer stays as it is.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: signed integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Neg.html
func init() {
	register(&Op{
		Name:     "Neg",
		Numerics: Exact,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(1, vecTable(func(t *vec.Table) byType {
			return merge(
				floatKernels(t.Neg, t.Neg64),
				byType{tensor.Int8: unaryKernel(negLoop[int8]), tensor.Int16: unaryKernel(negLoop[int16]), tensor.Int32: unaryKernel(negLoop[int32]), tensor.Int64: unaryKernel(negLoop[int64])},
			)
		})),
	})
}

func gradNeg(c *GradContext) []*onnx.Value { return []*onnx.Value{c.Negated(c.DOut[0])} }
