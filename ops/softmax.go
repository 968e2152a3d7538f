package ops

// Softmax: output = exp(input) / Σ exp(input), the sum along axis.
//
//	input: T[...]    output: T[...], same shape; may share input's storage
//
// The largest element of a line is taken out, so nothing overflows; sums are
// made in float64. A line that is all -∞, or has +∞ or NaN, gives NaN. Before
// 13, a line is all dimensions from axis (default 1) on; since 13, the
// dimension axis (default -1).
//
// Spec: https://onnx.ai/onnx/operators/onnx__Softmax.html
func init() {
	register(&Op{Name: "Softmax", Numerics: Rounding, Versions: softmaxVersions(softmaxRow[float32], softmaxRow[float64])})
}

// softmaxRow computes one line; dst may be src.
func softmaxRow[T floating](dst, src []T) {
	scale := T(1 / expShifted(dst, src, maxOf(src)))
	for i := range dst {
		dst[i] *= scale
	}
}
