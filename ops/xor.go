package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// Xor: C = A is not B, element-wise with broadcasting.
//
//	A, B: T[...]    C: T[...], of the shape that A and B broadcast to
//
// T: bool.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Xor.html
func init() {
	register(&Op{
		Name:        "Xor",
		Commutative: true,
		Numerics:    Exact,
		// Before opset 7 broadcasting is by attributes. Versions that only widen the types have no entry.
		Versions: binaryVersions(1, tensor.Undefined, buildTable(byType{tensor.Bool: boolPair([4]bool{false, true, true, false}).kernel()})),
	})
}
