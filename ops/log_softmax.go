package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
)

// LogSoftmax: output = input - log Σ exp(input), the sum along axis.
//
//	input: T[...]    output: T[...], same shape; may share input's storage
//
// The largest element of a line is taken out, so nothing overflows; sums are
// made in float64. Before 13, a line is all dimensions from axis (default 1)
// on; since 13, the dimension axis (default -1).
//
// Spec: https://onnx.ai/onnx/operators/onnx__LogSoftmax.html
func init() {
	register(&Op{Name: "LogSoftmax", Numerics: Rounding, Versions: softmaxVersions(logSoftmaxLines, logSoftmaxLines64, nil)})
}

// logSoftmaxLines is logSoftmaxRow for all lines, by vectors.
func logSoftmaxLines(t *vec.Table) lines {
	row := func(dst, src []float32) {
		m := t.Largest(src)
		w := bufferPool.Get().(*buffers)
		sum := 0.0
		for i := 0; i < len(src); i += block {
			n := min(block, len(src)-i)
			t.ExpSum(w.a[:n], src[i:i+n], 1, m)
			sum += exactSum(w.a[:n]) // in float64: what is added to the 1 of m decides the logarithm
		}
		bufferPool.Put(w)
		// Both differences are of numbers of one sign or near each other: what they round is small beside the result.
		t.AddScalar(dst, src, -m)
		t.AddScalar(dst, dst, -float32(math.Log(sum)))
	}
	return func(p par.P, y, x []float32, outer, n, inner int) {
		if !softmaxTurned(p, t, y, x, outer, n, inner, true) {
			alongAxis(p, y, x, outer, n, inner, row)
		}
	}
}

// exactSum adds in float64.
func exactSum(x []float32) float64 {
	var s0, s1, s2, s3 float64
	for ; len(x) >= 4; x = x[4:] {
		s0 += float64(x[0])
		s1 += float64(x[1])
		s2 += float64(x[2])
		s3 += float64(x[3])
	}
	for _, v := range x {
		s0 += float64(v)
	}
	return (s0 + s1) + (s2 + s3)
}

// logSoftmaxRow computes one line; dst may be src.
func logSoftmaxRow[T floating](dst, src []T) {
	m := maxOf(src)
	sum := 0.0
	for _, v := range src {
		sum += math.Exp(float64(v - m))
	}
	l := math.Log(sum)
	for i, v := range src {
		dst[i] = T(float64(v) - float64(m) - l)
	}
}

// gradLogSoftmax: dX = dY - e^Y·Σ dY, the sum along axis.
func gradLogSoftmax(c *GradContext) []*onnx.Value {
	d := c.DOut[0]
	sum := c.Op("ReduceSum", nil, d, c.Ints(c.Attr.Int("axis", -1)))
	return []*onnx.Value{c.Minus(d, c.Times(c.Op("Exp", nil, c.Y(0)), sum))}
}
