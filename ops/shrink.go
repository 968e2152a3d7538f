package ops

import "github.com/gneiss-run/gneiss/onnx"

// Shrink: output = input + bias where input < -lambd, input - bias where
// input > lambd, else 0 (of NaN too), element-wise. Integers are cut off.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Shrink.html
func init() {
	register(&Op{
		Name:     "Shrink",
		Numerics: Rounding,
		Versions: unaryVersions(9, buildShrink),
	})
}

func gradShrink(c *GradContext) []*onnx.Value {
	return gradActivation("Shrink", alphaOnly("lambd", 0.5))(c)
}

func buildShrink(b *BuildContext) (Kernel, error) {
	bias, lambd := b.Float("bias", 0), b.Float("lambd", 0.5)
	f := func(x float64) float64 {
		switch {
		case x < -float64(lambd):
			return x + float64(bias)
		case x > float64(lambd):
			return x - float64(bias)
		}
		return 0
	}
	return b.need(0, merge(mathKernels(f), integerPairs(
		unaryKernel(toFloat[int8](f)), unaryKernel(toFloat[int16](f)), unaryKernel(toFloat[int32](f)), unaryKernel(toFloat[int64](f)),
		unaryKernel(toFloat[uint8](f)), unaryKernel(toFloat[uint16](f)), unaryKernel(toFloat[uint32](f)), unaryKernel(toFloat[uint64](f)))))
}
