package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// BitwiseXor: C = A ^ B, bit by bit, element-wise with broadcasting.
//
//	A, B: T[...]    C: T[...], of the shape that A and B broadcast to
//
// T: all integers of 8 bits and more.
//
// Spec: https://onnx.ai/onnx/operators/onnx__BitwiseXor.html
func init() {
	register(&Op{
		Name:        "BitwiseXor",
		Commutative: true,
		Numerics:    Exact,
		// Versions that only widen the types have no entry.
		Versions: binaryVersions(18, tensor.Undefined, buildTable(integerPairs(
			bitXorPair[int8]().kernel(), bitXorPair[int16]().kernel(), bitXorPair[int32]().kernel(), bitXorPair[int64]().kernel(),
			bitXorPair[uint8]().kernel(), bitXorPair[uint16]().kernel(), bitXorPair[uint32]().kernel(), bitXorPair[uint64]().kernel()))),
	})
}
