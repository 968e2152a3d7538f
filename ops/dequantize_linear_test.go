package ops_test

import (
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestDequantizeLinear(t *testing.T) {
	m := Of([]int{2, 4}, uint8(1), 2, 3, 4, 5, 6, 7, 8)
	Run(t, []Case{
		{Op: "DequantizeLinear", In: Vals(Of([]int{4}, uint8(0), 3, 128, 255), F32([]int{}, 2), Of([]int{}, uint8(128))), Want: Vals(F32([]int{4}, -256, -250, 0, 254))},
		{Op: "DequantizeLinear", Opset: 10, In: Vals(Of([]int{2}, int8(-3), 3), F32([]int{1}, 2)), Want: Vals(F32([]int{2}, -6, 6))},
		{Op: "DequantizeLinear", Opset: 13, In: Vals(I32([]int{2}, -300000, 3), F32([]int{}, 0.5)), Want: Vals(F32([]int{2}, -150000, 1.5))},
		{Op: "DequantizeLinear", Attrs: onnx.NewAttrs("axis", 0), In: Vals(m, F32([]int{2}, 1, 10), Of([]int{2}, uint8(1), 2)), Want: Vals(F32([]int{2, 4}, 0, 1, 2, 3, 30, 40, 50, 60))},
		{Op: "DequantizeLinear", In: Vals(m, F32([]int{4}, 1, 2, 3, 4), Of([]int{4}, uint8(0), 1, 2, 3)), Want: Vals(F32([]int{2, 4}, 1, 2, 3, 4, 5, 10, 15, 20))},
		{Op: "DequantizeLinear", In: Vals(m, F32([]int{4}, 1, 2, 3, 4)), Want: Vals(F32([]int{2, 4}, 1, 4, 9, 16, 5, 12, 21, 32))},
		{Op: "DequantizeLinear", Attrs: onnx.NewAttrs("block_size", 3), In: Vals(m, F32([]int{2, 2}, 1, 2, 3, 4), Of([]int{2, 2}, uint8(0), 1, 2, 3)), Want: Vals(F32([]int{2, 4}, 1, 2, 3, 6, 9, 12, 15, 20))},
		{Op: "DequantizeLinear", Attrs: onnx.NewAttrs("axis", 0, "block_size", 2), In: Vals(m, F32([]int{1, 4}, 1, 2, 3, 4)), Want: Vals(F32([]int{2, 4}, 1, 4, 9, 16, 5, 12, 21, 32))},
		{Op: "DequantizeLinear", In: Vals(packed(tensor.Int4, 7, 8, 15), F32([]int{}, 2), packed(tensor.Int4, 1)), Want: Vals(F32([]int{3}, 12, -18, -4))},
		{Op: "DequantizeLinear", In: Vals(packed(tensor.Uint2, 0, 1, 2, 3), F32([]int{}, 2)), Want: Vals(F32([]int{4}, 0, 2, 4, 6))},
		{Op: "DequantizeLinear", In: Vals(Of([]int{2, 2}, int16(-32768), 1, 2, 32767), F32([]int{2}, 2, 0.5), Of([]int{2}, int16(0), -3)), Want: Vals(F32([]int{2, 2}, -65536, 2, 4, 16385))},
		{Op: "DequantizeLinear", Attrs: onnx.NewAttrs("axis", 0), In: Vals(Of([]int{2, 2}, uint16(0), 1, 2, 65535), F32([]int{2}, 2, 0.5)), Want: Vals(F32([]int{2, 2}, 0, 2, 1, 32767.5))},
		{Op: "DequantizeLinear", In: Vals(Of([]int{2}, uint16(60000), 1), F32([]int{}, 2), Of([]int{}, uint16(30000))), Want: Vals(F32([]int{2}, 60000, -59998))},
		{Op: "DequantizeLinear", In: Vals(Of([]int{2}, tensor.F8E4M3FN(0x38), 0xc0), F32([]int{}, 2), Of([]int{}, tensor.F8E4M3FN(0))), Want: Vals(F32([]int{2}, 2, -4))},
		{Op: "DequantizeLinear", In: Vals(packed(tensor.Float4E2M1, 2, 7, 12), F32([]int{}, 2)), Want: Vals(F32([]int{3}, 2, 12, -4))},
		{Op: "DequantizeLinear", In: Vals(Of([]int{1}, int8(3)), Of([]int{}, tensor.F16Of(0.5))), Want: Vals(Of([]int{1}, tensor.F16Of(1.5)))},
		{Op: "DequantizeLinear", Attrs: onnx.NewAttrs("output_dtype", tensor.BFloat16), In: Vals(Of([]int{1}, int8(3)), F32([]int{}, 0.5)), Want: Vals(Of([]int{1}, tensor.BF16Of(1.5)))},
		{Op: "DequantizeLinear", Attrs: onnx.NewAttrs("output_dtype", tensor.Float32), In: Vals(Of([]int{1}, int8(3)), Of([]int{}, tensor.F8E8M0(128))), Want: Vals(F32([]int{1}, 6))},
		{Op: "DequantizeLinear", In: Vals(m, F32([]int{4}, 1, 2, 3, 4), Of([]int{4}, int8(0), 1, 2, 3)), Want: Vals(m), Err: "x_zero_point is int8, want uint8 as x"},
		{Op: "DequantizeLinear", In: Vals(Of([]int{1}, tensor.F8E4M3FN(0x38)), F32([]int{}, 2), Of([]int{}, tensor.F8E4M3FN(1))), Want: Vals(m), Err: "x_zero_point is not 0"},
		{Op: "DequantizeLinear", In: Vals(F32([]int{1}, 1), F32([]int{}, 2)), Want: Vals(m), Err: "not supported"},
	})
}
