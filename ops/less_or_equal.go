package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// LessOrEqual: C = A <= B, element-wise with broadcasting; comparisons with NaN are false.
//
//	A, B: T[...]    C: bool[...], of the shape that A and B broadcast to
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__LessOrEqual.html
func init() {
	register(&Op{
		Name:     "LessOrEqual",
		Numerics: Exact,
		// Versions that only widen the types have no entry.
		Versions: binaryVersions(12, tensor.Bool, vecTable(lessOrEqualTable)),
	})
}
