package ops

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// IsNaN: Y = whether X is not a number, element-wise.
//
//	X: T[...]    Y: bool[...], the same shape
//
// T: float16, bfloat16, float32, float64, and the float8 types of 4 and 5
// exponent bits.
//
// Spec: https://onnx.ai/onnx/operators/onnx__IsNaN.html
func init() {
	register(&Op{
		Name: "IsNaN",
		Versions: []Version{
			// 13 and 20 only widen the types.
			{Since: 9, In: N(1), Out: N(1), Infer: inferBool, Build: buildTable(byType{
				tensor.Float32:        unaryKernel(isNaNLoop[float32]),
				tensor.Float64:        unaryKernel(isNaNLoop[float64]),
				tensor.Float16:        unaryKernel(func(d []bool, x []tensor.F16) { zip(d, x, func(v tensor.F16) bool { return v&0x7fff > 0x7c00 }) }),
				tensor.BFloat16:       unaryKernel(func(d []bool, x []tensor.BF16) { zip(d, x, func(v tensor.BF16) bool { return v&0x7fff > 0x7f80 }) }),
				tensor.Float8E4M3FN:   bitTest(func(v tensor.F8E4M3FN) bool { return v&0x7f == 0x7f }),
				tensor.Float8E4M3FNUZ: bitTest(func(v tensor.F8E4M3FNUZ) bool { return v == 0x80 }),
				tensor.Float8E5M2:     bitTest(func(v tensor.F8E5M2) bool { return v&0x7f > 0x7c }),
				tensor.Float8E5M2FNUZ: bitTest(func(v tensor.F8E5M2FNUZ) bool { return v == 0x80 }),
			})},
		},
	})
}

func isNaNLoop[T float](d []bool, x []T) { zip(d, x, func(v T) bool { return v != v }) }

// bitTest is the kernel of a test of each element.
func bitTest[T tensor.Element](f func(T) bool) Kernel { return unaryKernel(mapLoop(f)) }

// inferBool gives output 0 the shape of input 0 and the element type bool.
func inferBool(c *InferContext) error {
	t := c.In(0)
	t.Kind, t.DType = onnx.TensorKind, tensor.Bool
	c.Out[0] = t
	return nil
}
