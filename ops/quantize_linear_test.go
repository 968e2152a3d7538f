package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestQuantizeLinear(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	x := F32([]int{8}, 0, 2, 3, 1000, -254, -1000, 1, 5)
	m := F32([]int{2, 4}, 1, 3, -5, 7, 10, -30, 50, 999)
	h := func(v ...float32) []tensor.F16 {
		out := make([]tensor.F16, len(v))
		for i, x := range v {
			out[i] = tensor.F16Of(x)
		}
		return out
	}
	Run(t, []Case{
		// 1/2 and 5/2 are halves and go to the even neighbours 0 and 2.
		{Op: "QuantizeLinear", In: Vals(x, F32([]int{}, 2), Of([]int{}, uint8(128))), Want: Vals(Of([]int{8}, uint8(128), 129, 130, 255, 1, 0, 128, 130))},
		{Op: "QuantizeLinear", Opset: 10, In: Vals(x, F32([]int{1}, 2)), Want: Vals(Of([]int{8}, uint8(0), 1, 2, 255, 0, 0, 0, 2))},
		{Op: "QuantizeLinear", Opset: 13, In: Vals(F32([]int{3}, nan, inf, -inf), F32([]int{}, 1), Of([]int{}, int8(3))), Want: Vals(Of([]int{3}, int8(-128), 127, -128))},
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("axis", 0), In: Vals(m, F32([]int{2}, 1, 10), Of([]int{2}, int8(0), 1)), Want: Vals(Of([]int{2, 4}, int8(1), 3, -5, 7, 2, -2, 6, 101))},
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("axis", -1), In: Vals(m, F32([]int{4}, 1, 2, 5, 10), Of([]int{4}, uint8(0), 1, 2, 3)), Want: Vals(Of([]int{2, 4}, uint8(1), 3, 1, 4, 10, 0, 12, 103))},
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("axis", 1, "block_size", 3), In: Vals(m, F32([]int{2, 2}, 1, 2, 10, 100), Of([]int{2, 2}, int8(0), 1, 2, 3)), Want: Vals(Of([]int{2, 4}, int8(1), 3, -5, 5, 3, -1, 7, 13))},
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("axis", 0, "block_size", 2, "output_dtype", tensor.Int16), In: Vals(m, F32([]int{1, 4}, 1, 2, 5, 10)), Want: Vals(Of([]int{2, 4}, int16(1), 2, -1, 1, 10, -15, 10, 100))},
		{Op: "QuantizeLinear", In: Vals(x, F32([]int{}, 2), packed(tensor.Int4, 1)), Want: Vals(packed(tensor.Int4, 1, 2, 3, 7, 8, 8, 1, 3))},
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("output_dtype", tensor.Uint2), In: Vals(x, F32([]int{}, 2)), Want: Vals(packed(tensor.Uint2, 0, 1, 2, 3, 0, 0, 0, 2))},
		{Op: "QuantizeLinear", In: Vals(F32([]int{3}, 2, 2000, -4), F32([]int{}, 2), Of([]int{}, tensor.F8E4M3FN(0))), Want: Vals(Of([]int{3}, tensor.F8E4M3FN(0x38), 0x7e, 0xc0))},
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("saturate", 0), In: Vals(F32([]int{1}, 2000), F32([]int{}, 2), Of([]int{}, tensor.F8E4M3FN(0))), Want: Vals(Of([]int{1}, tensor.F8E4M3FN(0x7f)))},
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("output_dtype", tensor.Float4E2M1), In: Vals(F32([]int{3}, 2, 2000, -4), F32([]int{}, 2)), Want: Vals(packed(tensor.Float4E2M1, 2, 7, 12))},
		{Op: "QuantizeLinear", In: Vals(F32([]int{7}, -1e9, 0.5, 1.5, 2.5, -2.5, float32(math.NaN()), 1e9), F32([]int{}, 1), Of([]int{}, uint16(10))), Want: Vals(Of([]int{7}, uint16(0), 10, 12, 12, 8, 0, 65535))},
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("output_dtype", tensor.Uint16), In: Vals(F32([]int{3}, -1, 3, 1e6), F32([]int{}, 2)), Want: Vals(Of([]int{3}, uint16(0), 2, 65535))},
		{Op: "QuantizeLinear", In: Vals(F32([]int{2, 2}, 1, -3, 5, 1e6), F32([]int{2}, 0.5, 2), Of([]int{2}, int16(-5), 7)), Want: Vals(Of([]int{2, 2}, int16(-3), 5, 5, 32767))},
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("axis", 0), In: Vals(F32([]int{2, 2}, 1, -3, 5, -1e6), F32([]int{2}, 0.5, 2), Of([]int{2}, int16(0), 7)), Want: Vals(Of([]int{2, 2}, int16(2), -6, 9, -32768))},
		{Op: "QuantizeLinear", In: Vals(Of([]int{2}, h(3, -7)...), Of([]int{}, h(2)...), Of([]int{}, uint16(10))), Want: Vals(Of([]int{2}, uint16(12), 6))},
		{Op: "QuantizeLinear", In: Vals(I32([]int{2}, 3, -7), F32([]int{}, 2), Of([]int{}, int8(0))), Want: Vals(Of([]int{2}, int8(2), -4))},
		// 2049 is 2048 in float16.
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("precision", tensor.Float16, "output_dtype", tensor.Int16), In: Vals(F32([]int{1}, 2049), F32([]int{}, 1)), Want: Vals(Of([]int{1}, int16(2048)))},
		{Op: "QuantizeLinear", In: Vals(F32([]int{0, 2}), F32([]int{2}, 1, 2)), Want: Vals(Of([]int{0, 2}, []uint8{}...))},
		{Op: "QuantizeLinear", In: Vals(m, F32([]int{3}, 1, 2, 3)), Want: Vals(m), Err: "scale has shape [3], want [4]"},
		{Op: "QuantizeLinear", In: Vals(m, F32([]int{4}, 1, 2, 3, 4), Of([]int{2}, uint8(1), 2)), Want: Vals(m), Err: "y_zero_point has shape [2], want the scale's shape [4]"},
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("axis", 2), In: Vals(m, F32([]int{4}, 1, 2, 3, 4)), Want: Vals(m), Err: "axis 2 is not in [-2, 1]"},
		{Op: "QuantizeLinear", Attrs: onnx.NewAttrs("block_size", 3), In: Vals(m, F32([]int{2, 3}, 1, 2, 3, 4, 5, 6)), Want: Vals(m), Err: "want [2 2] for blocks of 3"},
		{Op: "QuantizeLinear", In: Vals(x, F32([]int{}, 1), Of([]int{}, uint32(1))), Want: Vals(x), Err: "not supported"},
	})
}

// TestQuantizeLinearRows has a scale for each element of rows, which go by vectors where they are long.
func TestQuantizeLinearRows(t *testing.T) {
	for _, n := range []int{5, 16, 37, 600} {
		x, scales := wave(3*n, 1), wave(n, 2)
		zu, zs := make([]uint8, n), make([]int8, n)
		for i := range x {
			x[i] *= 40
			scales[i%n] = float32(math.Abs(float64(scales[i%n]))) + 0.125
			zu[i%n], zs[i%n] = uint8(i*31), int8(i*31)
			switch i % 11 {
			case 3:
				x[i] = scales[i%n] * (float32(i%7) + 0.5) // between two numbers
			case 5:
				x[i] = float32(math.NaN())
			case 7:
				x[i] = float32(math.Inf(1 - i%2*2))
			case 8:
				x[i] *= 1e30
			}
		}
		reference := func(lo, hi float64, zero func(i int) float64) []float64 {
			y := make([]float64, len(x))
			for i, v := range x {
				q := math.RoundToEven(float64(v/scales[i%n])) + zero(i%n)
				if !(q > lo) {
					q = lo
				}
				y[i] = min(q, hi)
			}
			return y
		}
		shape, s, as := []int{3, n}, F32([]int{n}, scales...), onnx.NewAttrs("axis", 1)
		var unsigned, plain []uint8
		var signed []int8
		for _, v := range reference(0, 255, func(i int) float64 { return float64(zu[i]) }) {
			unsigned = append(unsigned, uint8(v))
		}
		for _, v := range reference(0, 255, func(int) float64 { return 0 }) {
			plain = append(plain, uint8(v))
		}
		for _, v := range reference(-128, 127, func(i int) float64 { return float64(zs[i]) }) {
			signed = append(signed, int8(v))
		}
		Run(t, []Case{
			{Op: "QuantizeLinear", Attrs: as, In: Vals(F32(shape, x...), s, tensor.Of(zu, n)), Want: Vals(tensor.Of(unsigned, shape...))},
			{Op: "QuantizeLinear", Attrs: as, In: Vals(F32(shape, x...), s), Want: Vals(tensor.Of(plain, shape...))},
			{Op: "QuantizeLinear", Attrs: as, In: Vals(F32(shape, x...), s, tensor.Of(zs, n)), Want: Vals(tensor.Of(signed, shape...))},
		})
	}
}
