package ops

import (
	"github.com/gneiss-run/gneiss/tensor"
)

// Not: Y = not X, element-wise.
//
//	X: T[...]    Y: T[...], the same shape; may share X's storage
//
// T: bool.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Not.html
func init() {
	register(&Op{
		Name:     "Not",
		Numerics: Exact,
		// Versions that only widen the types have no entry.
		Versions: plainVersions(1, buildTable(byType{tensor.Bool: unaryKernel(notLoop)})),
	})
}
