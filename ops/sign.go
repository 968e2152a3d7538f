package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// Sign: output = -1, 0 or 1 as input is below, equal to or above 0, element-wise; NaN stays NaN.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Sign.html
func init() {
	register(&Op{
		Name:     "Sign",
		Numerics: Exact,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(9, buildTable(merge(
			floatKernels(signLoop32, signLoop64),
			byType{tensor.Int8: unaryKernel(signLoop[int8]), tensor.Int16: unaryKernel(signLoop[int16]), tensor.Int32: unaryKernel(signLoop[int32]), tensor.Int64: unaryKernel(signLoop[int64])},
			byType{tensor.Uint8: unaryKernel(signLoop[uint8]), tensor.Uint16: unaryKernel(signLoop[uint16]), tensor.Uint32: unaryKernel(signLoop[uint32]), tensor.Uint64: unaryKernel(signLoop[uint64])},
		))),
	})
}
