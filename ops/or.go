package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// Or: C = A or B, element-wise with broadcasting.
//
//	A, B: T[...]    C: T[...], of the shape that A and B broadcast to
//
// T: bool.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Or.html
func init() {
	register(&Op{
		Name:        "Or",
		Commutative: true,
		Numerics:    Exact,
		// Before opset 7 broadcasting is by attributes. Versions that only widen the types have no entry.
		Versions: binaryVersions(1, tensor.Undefined, buildTable(byType{tensor.Bool: boolPair([4]bool{false, true, true, true}).kernel()})),
	})
}
