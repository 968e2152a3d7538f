package ops

import "math"

// BlackmanWindow: output[i] = 0.42 - 0.5·cos(2πi/N) + 0.08·cos(4πi/N)
// for i < size; N is size, or size - 1 with periodic = 0.
//
//	size: int32 or int64 scalar    output: output_datatype (default float32)[size]
//
// Spec: https://onnx.ai/onnx/operators/onnx__BlackmanWindow.html (17)
func init() {
	register(&Op{Name: "BlackmanWindow", Numerics: Rounding, Versions: windowVersions(func(i, n float64) float64 {
		// In this order it is 1 in the middle, which integers do not cut to 0, and 0 at the ends.
		return 0.42 + 0.08*math.Cos(4*math.Pi*i/n) - 0.5*math.Cos(2*math.Pi*i/n)
	})})
}
