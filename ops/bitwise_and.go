package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// BitwiseAnd: C = A & B, bit by bit, element-wise with broadcasting.
//
//	A, B: T[...]    C: T[...], of the shape that A and B broadcast to
//
// T: all integers of 8 bits and more.
//
// Spec: https://onnx.ai/onnx/operators/onnx__BitwiseAnd.html
func init() {
	register(&Op{
		Name:        "BitwiseAnd",
		Commutative: true,
		Numerics:    Exact,
		// Versions that only widen the types have no entry.
		Versions: binaryVersions(18, tensor.Undefined, buildTable(integerPairs(
			bitAndPair[int8]().kernel(), bitAndPair[int16]().kernel(), bitAndPair[int32]().kernel(), bitAndPair[int64]().kernel(),
			bitAndPair[uint8]().kernel(), bitAndPair[uint16]().kernel(), bitAndPair[uint32]().kernel(), bitAndPair[uint64]().kernel()))),
	})
}
