package ops_test

import (
	"math"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func to(d tensor.DType, more ...any) onnx.Attrs {
	return onnx.NewAttrs(append([]any{"to", d}, more...)...)
}

// packed makes a tensor of a packed type from codes.
func packed(d tensor.DType, codes ...int) *tensor.Tensor {
	t := tensor.New(d, len(codes))
	for i, v := range codes {
		t.SetPackedCode(i, uint8(v))
	}
	return t
}

func TestCast(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	x := F32([]int{4}, 1.75, -2.5, 0, 300)
	Run(t, []Case{
		{Op: "Cast", Attrs: to(tensor.Int64), In: Vals(x), Want: Vals(I64([]int{4}, 1, -2, 0, 300))},
		{Op: "Cast", Attrs: to(tensor.Int32), In: Vals(F32([]int{4}, nan, inf, -inf, 3e9)), Want: Vals(I32([]int{4}, math.MinInt32, math.MinInt32, math.MinInt32, math.MinInt32))},
		{Op: "Cast", Attrs: to(tensor.Uint8), In: Vals(x), Want: Vals(Of([]int{4}, uint8(1), 254, 0, 44))},
		{Op: "Cast", Attrs: to(tensor.Int8), In: Vals(Of([]int{2}, int16(200), -129)), Want: Vals(Of([]int{2}, int8(-56), 127))},
		{Op: "Cast", Attrs: to(tensor.Bool), In: Vals(F32([]int{4}, 0, float32(math.Copysign(0, -1)), nan, 0.1)), Want: Vals(Of([]int{4}, false, false, true, true))},
		{Op: "Cast", Attrs: to(tensor.Float32), In: Vals(Of([]int{2, 1}, true, false)), Want: Vals(F32([]int{2, 1}, 1, 0))},
		{Op: "Cast", Attrs: to(tensor.Float64), In: Vals(x), Want: Vals(F64([]int{4}, 1.75, -2.5, 0, 300))},
		{Op: "Cast", Attrs: to(tensor.Float32), In: Vals(F64([]int{2}, 1e300, 0.1)), Want: Vals(F32([]int{2}, inf, 0.1))},
		{Op: "Cast", Attrs: to(tensor.Float32), In: Vals(Of([]int{2}, uint64(1<<64-1), 1<<53+1)), Want: Vals(F32([]int{2}, 1<<64, 1<<53))},
		{Op: "Cast", Attrs: to(tensor.Uint64), In: Vals(F64([]int{3}, 1<<63, -1, 7.9)), Want: Vals(Of([]int{3}, uint64(1<<63), 1<<64-1, 7))},
		{Op: "Cast", Attrs: to(tensor.Int32), In: Vals(I64([]int{2}, 1<<32+5, -1)), Want: Vals(I32([]int{2}, 5, -1))},
		{Op: "Cast", Attrs: to(tensor.Float16), In: Vals(x), Want: Vals(Of([]int{4}, tensor.F16Of(1.75), tensor.F16Of(-2.5), tensor.F16(0), tensor.F16Of(300)))},
		{Op: "Cast", Attrs: to(tensor.BFloat16), In: Vals(I64([]int{2}, 257, 3)), Want: Vals(Of([]int{2}, tensor.BF16Of(256), tensor.BF16Of(3)))},
		{Op: "Cast", Attrs: to(tensor.Float8E4M3FN), In: Vals(F32([]int{3}, 1000, -inf, 1)), Want: Vals(Of([]int{3}, tensor.F8E4M3FN(0x7e), 0xfe, 0x38))},
		{Op: "Cast", Attrs: to(tensor.Float8E4M3FN, "saturate", 0), In: Vals(F32([]int{2}, 1000, 1)), Want: Vals(Of([]int{2}, tensor.F8E4M3FN(0x7f), 0x38))},
		{Op: "Cast", Attrs: to(tensor.Float8E8M0, "round_mode", "down"), In: Vals(F32([]int{2}, 3, 1)), Want: Vals(Of([]int{2}, tensor.F8E8M0(128), 127))},
		{Op: "Cast", Attrs: to(tensor.Float8E8M0), In: Vals(F32([]int{2}, 3, 1)), Want: Vals(Of([]int{2}, tensor.F8E8M0(129), 127))},
		{Op: "Cast", Attrs: to(tensor.Float32), In: Vals(Of([]int{2}, tensor.F8E5M2(0x3c), 0x7c)), Want: Vals(F32([]int{2}, 1, inf))},
		{Op: "Cast", Attrs: to(tensor.Int4), In: Vals(F32([]int{3}, 7.9, -8, 3)), Want: Vals(packed(tensor.Int4, 7, 8, 3))},
		{Op: "Cast", Attrs: to(tensor.Uint4), In: Vals(I32([]int{3}, 17, 15, 3)), Want: Vals(packed(tensor.Uint4, 1, 15, 3))},
		{Op: "Cast", Attrs: to(tensor.Int8), In: Vals(packed(tensor.Int4, 7, 8, 15)), Want: Vals(Of([]int{3}, int8(7), -8, -1))},
		{Op: "Cast", Attrs: to(tensor.Float32), In: Vals(packed(tensor.Int2, 1, 2, 3, 0, 1)), Want: Vals(F32([]int{5}, 1, -2, -1, 0, 1))},
		{Op: "Cast", Attrs: to(tensor.Float4E2M1), In: Vals(F32([]int{3}, 0.5, 100, -1)), Want: Vals(packed(tensor.Float4E2M1, 1, 7, 10))},
		{Op: "Cast", Attrs: to(tensor.Float32), In: Vals(packed(tensor.Float4E2M1, 1, 7, 10)), Want: Vals(F32([]int{3}, 0.5, 6, -1))},
		{Op: "Cast", Attrs: to(tensor.Float32), In: Vals(Of([]int{6}, "3.14", " 1e-5", "+INF", "-inf", "NaN", "1E8")), Want: Vals(F32([]int{6}, 3.14, 1e-5, inf, -inf, nan, 1e8))},
		{Op: "Cast", Attrs: to(tensor.Int64), In: Vals(Of([]int{3}, "9223372036854775807", "100.5", "-3")), Want: Vals(I64([]int{3}, math.MaxInt64, 100, -3))},
		{Op: "Cast", Attrs: to(tensor.Uint64), In: Vals(Of([]int{1}, "18446744073709551615")), Want: Vals(Of([]int{1}, uint64(1<<64-1)))},
		{Op: "Cast", Attrs: to(tensor.Bool), In: Vals(Of([]int{4}, "True", "false", "0", "2")), Want: Vals(Of([]int{4}, true, false, false, true))},
		{Op: "Cast", Attrs: to(tensor.Float16), In: Vals(Of([]int{1}, "0.1")), Want: Vals(Of([]int{1}, tensor.F16Of(0.1)))},
		{Op: "Cast", Attrs: to(tensor.Int64), In: Vals(Of([]int{2}, "1", "Hello")), Want: Vals(x), Err: "element 1 is \"Hello\""},
		{Op: "Cast", Attrs: to(tensor.String), In: Vals(F32([]int{8}, 0.1, 1, -2.5, 1e16, 1e-5, nan, inf, -inf)), Want: Vals(Of([]int{8}, "0.1", "1.0", "-2.5", "1e+16", "1e-05", "NaN", "INF", "-INF"))},
		{Op: "Cast", Attrs: to(tensor.String), In: Vals(I64([]int{2}, -12, 0)), Want: Vals(Of([]int{2}, "-12", "0"))},
		{Op: "Cast", Attrs: to(tensor.String), In: Vals(Of([]int{2}, tensor.F16Of(0.1), tensor.F16Of(65504))), Want: Vals(Of([]int{2}, "0.1", "65500.0"))},
		{Op: "Cast", Attrs: to(tensor.String), In: Vals(Of([]int{2}, true, false)), Want: Vals(Of([]int{2}, "True", "False"))},
		{Op: "Cast", Attrs: to(tensor.Float32), In: Vals(x), Want: Vals(x)},
		{Op: "Cast", Attrs: to(tensor.Int64), In: Vals(F32([]int{0, 2})), Want: Vals(I64([]int{0, 2}))},
		{Op: "Cast", Opset: 1, Attrs: onnx.NewAttrs("to", "INT64"), In: Vals(x), Want: Vals(I64([]int{4}, 1, -2, 0, 300))},
		{Op: "Cast", Opset: 1, Attrs: onnx.NewAttrs("to", "int"), In: Vals(x), Want: Vals(x), Err: "no element type"},
		{Op: "Cast", In: Vals(x), Want: Vals(x), Err: "\"to\" is missing"},
		{Op: "Cast", Attrs: onnx.NewAttrs("to", 77), In: Vals(x), Want: Vals(x), Err: "no element type"},
		{Op: "Cast", Attrs: to(tensor.Float32), In: Vals(Of([]int{1}, complex64(1))), Want: Vals(x), Err: "not supported"},
	})
}

func TestCastGradient(t *testing.T) {
	Gradients(t, []GradCase{
		{Op: "Cast", Attrs: onnx.NewAttrs("to", int(tensor.Float64)), In: Vals(Normal(1, 3)), Only64: true},
	})
}
