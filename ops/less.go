package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// Less: C = A < B, element-wise with broadcasting; comparisons with NaN are false.
//
//	A, B: T[...]    C: bool[...], of the shape that A and B broadcast to
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Less.html
func init() {
	register(&Op{
		Name:     "Less",
		Numerics: Exact,
		// Before opset 7 broadcasting is by attributes. Versions that only widen the types have no entry.
		Versions: binaryVersions(1, tensor.Bool, vecTable(lessTable)),
	})
}
