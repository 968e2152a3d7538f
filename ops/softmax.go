package ops

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
	register(&Op{Name: "Softmax", Numerics: Rounding, Versions: softmaxVersions(softmaxRow[float32], softmaxRow[float64], softmaxRowHalf)})
}

// softmaxRow computes one line; dst may be src.
func softmaxRow[T floating](dst, src []T) {
	scale := T(1 / expShifted(dst, src, maxOf(src)))
	for i := range dst {
		dst[i] *= scale
	}
}

// softmaxRowHalf is softmaxRow with every step rounded.
func softmaxRowHalf(dst, src []float32, round func(float32) float32) {
	shift := maxOf(src)
	for i, v := range src {
		dst[i] = round(v - shift)
	}
	expShifted(dst, dst, 0)
	for i, v := range dst {
		dst[i] = round(v)
	}
	sum := round(float32(sumOf(dst)))
	for i, v := range dst {
		dst[i] = v / sum // the caller rounds the result
	}
}
