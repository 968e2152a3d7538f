package ops

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/onnx"
)

// Mod: C = the remainder of A / B, element-wise with broadcasting.
//
//	A, B: T[...]    C: T[...], of the shape that A and B broadcast to
//
// fmod 0: C = A - floor(A/B)*B, which has the sign of B. fmod 1:
// C = A - trunc(A/B)*B, which has the sign of A. A zero in B gives NaN for
// floats and is an error for integers.
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Mod.html
func init() {
	register(&Op{
		Name:     "Mod",
		Numerics: Rounding,
		Versions: []Version{
			// 13 widens the types, 28 says what holds for special values.
			{Since: 10, In: N(2), Out: N(1), InPlace: []int{0, 1}, Infer: inferArith, Build: buildMod},
		},
	})
}

func buildMod(b *BuildContext) (Kernel, error) {
	switch fmod := b.Int("fmod", 0); fmod {
	case 0:
		return b.need(0, merge(floatPairs(throughFloat64(floorMod32), pairOf(floorMod)), integerPairs(
			checkedKernel(floorModPair[int8](), noZero[int8]), checkedKernel(floorModPair[int16](), noZero[int16]),
			checkedKernel(floorModPair[int32](), noZero[int32]), checkedKernel(floorModPair[int64](), noZero[int64]),
			checkedKernel(floorModPair[uint8](), noZero[uint8]), checkedKernel(floorModPair[uint16](), noZero[uint16]),
			checkedKernel(floorModPair[uint32](), noZero[uint32]), checkedKernel(floorModPair[uint64](), noZero[uint64]))))
	case 1:
		return b.need(0, merge(floatPairs(throughFloat64(mod32), pairOf(math.Mod)), integerPairs(
			checkedKernel(truncModPair[int8](), noZero[int8]), checkedKernel(truncModPair[int16](), noZero[int16]),
			checkedKernel(truncModPair[int32](), noZero[int32]), checkedKernel(truncModPair[int64](), noZero[int64]),
			checkedKernel(truncModPair[uint8](), noZero[uint8]), checkedKernel(truncModPair[uint16](), noZero[uint16]),
			checkedKernel(truncModPair[uint32](), noZero[uint32]), checkedKernel(truncModPair[uint64](), noZero[uint64]))))
	default:
		return nil, fmt.Errorf("attribute \"fmod\" is %d, want 0 or 1", fmod)
	}
}

// gradMod: with C = A - q·B, dA = dC and dB = -dC·q; the quotient q, a whole
// number, is constant almost everywhere.
func gradMod(c *GradContext) []*onnx.Value {
	a, b, d := c.X(0), c.X(1), c.DOut[0]
	c.Attr.Int("fmod", 0) // either way of rounding q
	out := []*onnx.Value{c.SumTo(d, a), nil}
	if c.Needs(1) {
		q := c.Op("Round", nil, c.Over(c.Minus(a, c.Y(0)), b))
		out[1] = c.Negated(c.SumTo(c.Times(d, q), b))
	}
	return out
}
