package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// BitwiseOr: C = A | B, bit by bit, element-wise with broadcasting.
//
//	A, B: T[...]    C: T[...], of the shape that A and B broadcast to
//
// T: all integers of 8 bits and more.
//
// Spec: https://onnx.ai/onnx/operators/onnx__BitwiseOr.html
func init() {
	register(&Op{
		Name:        "BitwiseOr",
		Commutative: true,
		Numerics:    Exact,
		// Versions that only widen the types have no entry.
		Versions: binaryVersions(18, tensor.Undefined, buildTable(wrappingKernels(bitOrPair[uint8]().erase(nil), bitOrPair[uint16]().erase(nil), bitOrPair[uint32]().erase(nil), bitOrPair[uint64]().erase(nil)))),
	})
}
