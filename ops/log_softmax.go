package ops

import "math"

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
	register(&Op{Name: "LogSoftmax", Numerics: Rounding, Versions: softmaxVersions(logSoftmaxRow[float32], logSoftmaxRow[float64], nil)})
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
