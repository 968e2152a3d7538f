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

// logSoftmaxLines computes all lines, by vectors.
func logSoftmaxLines(t *vec.Table) lines {
	row := func(dst, src []float32) {
		m := t.Largest(src)
		l := logSum(t, src, m)
		// Both differences are of numbers of one sign or near each other: what they round is small beside the result.
		t.AddScalar(dst, src, -m)
		t.AddScalar(dst, dst, -l)
	}
	return func(p par.P, y, x []float32, outer, n, inner int) {
		if !softmaxTurned(p, t, y, x, outer, n, inner, true) && !softmaxSideBySide(p, t, y, x, outer, n, inner, true) {
			alongAxis(p, y, x, outer, n, inner, row)
		}
	}
}

// logSum returns log Σ e^(x-m), where m is the largest of x.
func logSum(t *vec.Table, x []float32, m float32) float32 {
	w := bufferPool.Get().(*buffers)
	defer bufferPool.Put(w)
	sum := 0.0
	for i := 0; i < len(x); i += block {
		n := min(block, len(x)-i)
		sum += t.ExpSum(w.a[:n], x[i:i+n], 1, m)
	}
	if sum >= 2 || sum != sum {
		return float32(math.Log(sum))
	}
	// Only m gives 1. What is added to it decides the logarithm.
	rest := 0.0
	for i := 0; i < len(x); i += block {
		n := min(block, len(x)-i)
		e, one := w.a[:n], w.b[:n]
		if len(x) > block {
			t.ExpSum(e, x[i:i+n], 1, m)
		}
		t.Floor(one, e)
		t.Sub(e, e, one)
		rest += t.Sum(e)
	}
	return float32(math.Log1p(rest))
}

// logSoftmaxRow computes one line; dst may be src.
func logSoftmaxRow(dst, src []float64) {
	m := maxOf(src)
	sum := 0.0
	for _, v := range src {
		sum += math.Exp(v - m)
	}
	l := math.Log(sum)
	for i, v := range src {
		dst[i] = v - m - l
	}
}

// gradLogSoftmax: dX = dY - e^Y·Σ dY, the sum along axis.
func gradLogSoftmax(c *GradContext) []*onnx.Value {
	d := c.DOut[0]
	sum := c.Op("ReduceSum", nil, d, c.Ints(c.Attr.Int("axis", -1)))
	return []*onnx.Value{c.Minus(d, c.Times(c.Op("Exp", nil, c.Y(0)), sum))}
}
