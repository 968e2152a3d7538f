package ops

import (
	halves "github.com/gneiss-run/gneiss/internal/kernels/half"
	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
)

// Softmax: output = exp(input) / Σ exp(input), the sum along axis.
//
//	input: T[...]    output: T[...], same shape; may share input's storage
//
// The largest element of a line is taken out, so nothing overflows; sums are
// made in float64. A line that is all -∞, or has +∞ or NaN, gives NaN. Before
// 13, a line is all dimensions from axis (default 1) on; since 13, the
// dimension axis (default -1). float16 and bfloat16 round after each step of
// the definition: the differences, the exponentials, their sum, the quotients.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Softmax.html
func init() {
	register(&Op{Name: "Softmax", Numerics: Rounding, Versions: softmaxVersions(softmaxLines, softmaxLines64, softmaxRowHalf)})
}

// softmaxLines is softmaxRow for all lines, by vectors.
func softmaxLines(t *vec.Table) lines {
	row := func(dst, src []float32) {
		scale := float32(1 / t.ExpSum(dst, src, 1, t.Largest(src)))
		t.MulScalar(dst, dst, scale)
	}
	return func(p par.P, y, x []float32, outer, n, inner int) {
		if !softmaxTurned(p, t, y, x, outer, n, inner, false) && !softmaxSideBySide(p, t, y, x, outer, n, inner, false) {
			alongAxis(p, y, x, outer, n, inner, row)
		}
	}
}

// softmaxRow computes one line; dst may be src.
func softmaxRow[T floating](dst, src []T) {
	scale := T(1 / expShifted(dst, src, maxOf(src)))
	for i := range dst {
		dst[i] *= scale
	}
}

// softmaxRowHalf is softmaxRow with every step rounded.
func softmaxRowHalf(dst, src []float32, kind halves.Kind, buf *[halfChunk]uint16) {
	t := vec.Best()
	t.AddScalar(dst, src, -t.Largest(src))
	roundTo(dst, kind, buf)
	t.ExpSum(dst, dst, 1, 0)
	roundTo(dst, kind, buf)
	sum := [1]float32{float32(sumOf(dst))}
	roundTo(sum[:], kind, buf)
	t.Arith[vec.Div].VS(dst, dst, sum[0]) // the caller rounds the result
}

// gradSoftmax: dX = Y·(dY - Σ dY·Y), the sum along axis.
func gradSoftmax(c *GradContext) []*onnx.Value {
	y, d := c.Y(0), c.DOut[0]
	sum := c.Op("ReduceSum", nil, c.Times(d, y), c.Ints(c.Attr.Int("axis", -1)))
	return []*onnx.Value{c.Times(y, c.Minus(d, sum))}
}
