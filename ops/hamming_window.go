package ops

import "math"

// HammingWindow: output[i] = 25/46 - 21/46·cos(2πi/N)
// for i < size; N is size, or size - 1 with periodic = 0.
//
//	size: int32 or int64 scalar    output: output_datatype (default float32)[size]
//
// Spec: https://onnx.ai/onnx/operators/onnx__HammingWindow.html (17)
func init() {
	register(&Op{Name: "HammingWindow", Numerics: Rounding, Versions: windowVersions(func(i, n float64) float64 {
		return 25.0/46 - 21.0/46*math.Cos(2*math.Pi*i/n)
	})})
}
