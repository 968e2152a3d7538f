package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Add: C = A + B, element-wise with broadcasting.
//
//	A, B: T[...]    C: T[...], of the shape that A and B broadcast to
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Integers wrap around.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Add.html
func init() {
	register(&Op{
		Name:        "Add",
		Commutative: true,
		Numerics:    Rounding,
		// Before opset 7 broadcasting is by attributes. Versions that only widen the types have no entry.
		Versions: binaryVersions(1, tensor.Undefined, vecTable(addTable)),
	})
}

func addTable(t *vec.Table) byType {
	return merge(floatPairs(addFloat32(t), withRows(addPair[float64](), &t.Float64[vec.Add])), wrappingKernels(addPair[uint8]().erase(nil), addPair[uint16]().erase(nil), withRows(addPair[uint32](), &t.Int32[vec.Add]).erase(nil), withRows(addPair[uint64](), &t.Int64[vec.Add]).erase(nil)))
}

func gradAdd(c *GradContext) []*onnx.Value {
	return []*onnx.Value{c.SumTo(c.DOut[0], c.X(0)), c.SumTo(c.DOut[0], c.X(1))}
}
