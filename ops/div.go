package ops

import (
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Div: C = A / B, element-wise with broadcasting.
//
//	A, B: T[...]    C: T[...], of the shape that A and B broadcast to
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Integers are cut off towards zero; a zero in B is an error, and the least
// signed integer divided by -1 stays as it is.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Div.html
func init() {
	register(&Op{
		Name:     "Div",
		Numerics: Rounding,
		// Before opset 7 broadcasting is by attributes. Versions that only widen the types have no entry.
		Versions: binaryVersions(1, tensor.Undefined, vecTable(divTable)),
	})
}

func divTable(t *vec.Table) byType {
	return merge(floatPairs(divFloat32(t), withRows(divPair[float64](), &t.Float64[vec.Div])), integerPairs(
		checkedKernel(divPair[int8](), noZero[int8]), checkedKernel(divPair[int16](), noZero[int16]), checkedKernel(divPair[int32](), noZero[int32]), checkedKernel(divPair[int64](), noZero[int64]),
		checkedKernel(divPair[uint8](), noZero[uint8]), checkedKernel(divPair[uint16](), noZero[uint16]), checkedKernel(divPair[uint32](), noZero[uint32]), checkedKernel(divPair[uint64](), noZero[uint64])))
}

// gradDiv: dA = dC/B, dB = -dC·C/B.
func gradDiv(c *GradContext) []*onnx.Value {
	d := c.Over(c.DOut[0], c.X(1))
	out := []*onnx.Value{c.SumTo(d, c.X(0)), nil}
	if c.Needs(1) {
		out[1] = c.Negated(c.SumTo(c.Times(d, c.Y(0)), c.X(1)))
	}
	return out
}
