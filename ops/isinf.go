package ops

import (
	"math"

	"github.com/gneiss-run/gneiss/tensor"
)

// IsInf: Y = whether X is infinite, element-wise. The attributes
// detect_positive and detect_negative (default 1) say which infinities count.
//
//	X: T[...]    Y: bool[...], the same shape
//
// T: float16, bfloat16, float32, float64, and the float8 types of 4 and 5
// exponent bits, of which only float8e5m2 has infinities.
//
// Spec: https://onnx.ai/onnx/operators/onnx__IsInf.html
func init() {
	register(&Op{
		Name: "IsInf",
		Versions: []Version{
			// 20 only widens the types.
			{Since: 10, In: N(1), Out: N(1), Infer: inferBool, Build: buildIsInf},
		},
	})
}

func buildIsInf(b *BuildContext) (Kernel, error) {
	pos, neg := b.Bool("detect_positive", true), b.Bool("detect_negative", true)
	return b.need(0, byType{
		tensor.Float32:        bitTest(func(v float32) bool { return pos && v > math.MaxFloat32 || neg && v < -math.MaxFloat32 }),
		tensor.Float64:        bitTest(func(v float64) bool { return pos && v > math.MaxFloat64 || neg && v < -math.MaxFloat64 }),
		tensor.Float16:        bitTest(func(v tensor.F16) bool { return pos && v == 0x7c00 || neg && v == 0xfc00 }),
		tensor.BFloat16:       bitTest(func(v tensor.BF16) bool { return pos && v == 0x7f80 || neg && v == 0xff80 }),
		tensor.Float8E4M3FN:   bitTest(func(tensor.F8E4M3FN) bool { return false }),
		tensor.Float8E4M3FNUZ: bitTest(func(tensor.F8E4M3FNUZ) bool { return false }),
		tensor.Float8E5M2:     bitTest(func(v tensor.F8E5M2) bool { return pos && v == 0x7c || neg && v == 0xfc }),
		tensor.Float8E5M2FNUZ: bitTest(func(tensor.F8E5M2FNUZ) bool { return false }),
	})
}
