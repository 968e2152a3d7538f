package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// BitwiseNot: Y = the bits of X turned round, element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: integers of 8 bits and more.
//
// Spec: https://onnx.ai/onnx/operators/onnx__BitwiseNot.html
func init() {
	register(&Op{
		Name:     "BitwiseNot",
		Numerics: Exact,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(18, buildTable(merge(
			byType{tensor.Int8: unaryKernel(bitwiseNotLoop[int8]), tensor.Int16: unaryKernel(bitwiseNotLoop[int16]), tensor.Int32: unaryKernel(bitwiseNotLoop[int32]), tensor.Int64: unaryKernel(bitwiseNotLoop[int64])},
			byType{tensor.Uint8: unaryKernel(bitwiseNotLoop[uint8]), tensor.Uint16: unaryKernel(bitwiseNotLoop[uint16]), tensor.Uint32: unaryKernel(bitwiseNotLoop[uint32]), tensor.Uint64: unaryKernel(bitwiseNotLoop[uint64])},
		))),
	})
}
