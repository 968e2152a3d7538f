package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/internal/kernels/vec"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Erf: output = erf(input), the error function, element-wise; integers are cut off.
//
//	input: T[...]    output: T[...], the same shape; may share input's storage
//
// T: all integers of 8 bits and more, float16, bfloat16, float32, float64.
//
// Spec: https://onnx.ai/onnx/operators/onnx__Erf.html
func init() {
	register(&Op{
		Name:     "Erf",
		Numerics: Rounding,
		// Versions that only widen the types have no entry.
		Versions: unaryVersions(9, vecTable(func(t *vec.Table) byType {
			return merge(
				floatKernels(t.Erf, mapLoop(math.Erf)),
				byType{tensor.Int8: unaryKernel(toFloat[int8](math.Erf)), tensor.Int16: unaryKernel(toFloat[int16](math.Erf)), tensor.Int32: unaryKernel(toFloat[int32](math.Erf)), tensor.Int64: unaryKernel(toFloat[int64](math.Erf))},
				byType{tensor.Uint8: unaryKernel(toFloat[uint8](math.Erf)), tensor.Uint16: unaryKernel(toFloat[uint16](math.Erf)), tensor.Uint32: unaryKernel(toFloat[uint32](math.Erf)), tensor.Uint64: unaryKernel(toFloat[uint64](math.Erf))},
			)
		})),
	})
}

func gradErf(c *GradContext) []*onnx.Value {
	return gradActivation("Erf", nil)(c)
}
