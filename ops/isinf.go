package ops

import (
	"unsafe"

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
		tensor.Float32:        unaryKernel(infLoop[float32](uint32(0x7f800000), pos, neg)),
		tensor.Float64:        unaryKernel(infLoop[float64](uint64(0x7ff<<52), pos, neg)),
		tensor.Float16:        unaryKernel(infLoop[tensor.F16](uint16(0x7c00), pos, neg)),
		tensor.BFloat16:       unaryKernel(infLoop[tensor.BF16](uint16(0x7f80), pos, neg)),
		tensor.Float8E4M3FN:   bitTest(func(tensor.F8E4M3FN) bool { return false }),
		tensor.Float8E4M3FNUZ: bitTest(func(tensor.F8E4M3FNUZ) bool { return false }),
		tensor.Float8E5M2:     bitTest(func(v tensor.F8E5M2) bool { return pos && v == 0x7c || neg && v == 0xfc }),
		tensor.Float8E5M2FNUZ: bitTest(func(tensor.F8E5M2FNUZ) bool { return false }),
	})
}

// infLoop looks for infinity, whose bits are inf, with the signs that are asked for. The sign is the bit above.
func infLoop[T tensor.Element, W uint16 | uint32 | uint64](inf W, pos, neg bool) loop[T, bool] {
	sign := ^(^W(0) >> 1)
	mask, want := ^W(0), inf // of positive ones
	switch {
	case pos && neg:
		mask = ^sign
	case neg:
		want |= sign
	case !pos:
		mask = 0 // what is 0 then is not inf
	}
	return func(d []bool, x []T) {
		mask, want := mask, want
		words := unsafe.Slice((*W)(startOf(x)), len(x))[:len(d)]
		for i, v := range words {
			d[i] = v&mask == want
		}
	}
}
