package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// And: C = A and B, element-wise with broadcasting.
//
//	A, B: T[...]    C: T[...], of the shape that A and B broadcast to
//
// T: bool.
//
// Spec: https://onnx.ai/onnx/operators/onnx__And.html
func init() {
	register(&Op{
		Name:        "And",
		Commutative: true,
		Numerics:    Exact,
		// Before opset 7 broadcasting is by attributes. Versions that only widen the types have no entry.
		Versions: binaryVersions(1, tensor.Undefined, buildTable(byType{tensor.Bool: boolPair([4]bool{false, false, false, true}).kernel()})),
	})
}
