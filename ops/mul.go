package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Mul: C = A * B, element-wise with broadcasting.
//
//	A, B: T[...]    C: T[...], of the shape that A and B broadcast to
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Integers wrap around.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Mul.html
func init() {
	register(&Op{
		Name:        "Mul",
		Commutative: true,
		Numerics:    Rounding,
		// Before opset 7 broadcasting is by attributes. Versions that only widen the types have no entry.
		Versions: binaryVersions(1, tensor.Undefined, vecTable(mulTable)),
	})
}

func gradMul(c *GradContext) []*onnx.Value {
	return gradBinary(
		func(c *GradContext, d, _, b *onnx.Value) *onnx.Value { return c.Times(d, b) },
		func(c *GradContext, d, a, _ *onnx.Value) *onnx.Value { return c.Times(d, a) })(c)
}

func mulTable(t *vec.Table) byType {
	return merge(floatPairs(mulFloat32(t), withRows(mulPair[float64](), &t.Float64[vec.Mul])), wrappingKernels(mulPair[uint8]().erase(nil), mulPair[uint16]().erase(nil), withRows(mulPair[uint32](), &t.Int32[vec.Mul]).erase(nil), withRows(mulPair[uint64](), &t.Int64[vec.Mul]).erase(nil)))
}
