package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Sub: C = A - B, element-wise with broadcasting.
//
//	A, B: T[...]    C: T[...], of the shape that A and B broadcast to
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Integers wrap around.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Sub.html
func init() {
	register(&Op{
		Name:     "Sub",
		Numerics: Rounding,
		// Before opset 7 broadcasting is by attributes. Versions that only widen the types have no entry.
		Versions: binaryVersions(1, tensor.Undefined, vecTable(subTable)),
	})
}

func subTable(t *vec.Table) byType {
	return merge(floatPairs(subFloat32(t), withRows(subPair[float64](), &t.Float64[vec.Sub])), wrappingKernels(subPair[uint8]().erase(nil), subPair[uint16]().erase(nil), withRows(subPair[uint32](), &t.Int32[vec.Sub]).erase(nil), withRows(subPair[uint64](), &t.Int64[vec.Sub]).erase(nil)))
}

func gradSub(c *GradContext) []*onnx.Value {
	out := []*onnx.Value{c.SumTo(c.DOut[0], c.X(0)), nil}
	if c.Needs(1) {
		out[1] = c.Negated(c.SumTo(c.DOut[0], c.X(1)))
	}
	return out
}
