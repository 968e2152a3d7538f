package ops_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestQLinearAveragePool(t *testing.T) {
	Run(t, []Case{
		{Name: "halves with the zero point", Domain: "com.microsoft", Op: "QLinearAveragePool", Opset: 1, Attrs: onnx.NewAttrs("kernel_shape", []int{2}, "strides", []int{2}), In: Vals(Of[uint8]([]int{1, 1, 4}, 1, 2, 4, 3), F32([]int{}, 1), Of[uint8]([]int{}, 0), F32([]int{}, 1), Of[uint8]([]int{}, 1)), Want: Vals(Of[uint8]([]int{1, 1, 2}, 2, 4))},
		{Domain: "com.microsoft", Op: "QLinearAveragePool", Opset: 1, Attrs: onnx.NewAttrs("kernel_shape", []int{3, 2}, "strides", []int{2, 1}, "pads", []int{1, 0, 1, 1}), In: Vals(Of[uint8]([]int{1, 2, 6, 7}, 140, 5, 184, 197, 97, 8, 212, 64, 235, 93, 99, 203, 35, 7, 194, 237, 254, 32, 37, 86, 182, 233, 211, 95, 235, 65, 31, 111, 23, 173, 252, 27, 29, 45, 45, 136, 147, 243, 114, 237, 192, 218, 48, 116, 234, 192, 55, 216, 196, 37, 17, 66, 121, 39, 8, 28, 80, 99, 79, 114, 184, 63, 116, 186, 14, 240, 254, 74, 227, 64, 234, 168, 63, 15, 100, 190, 58, 131, 31, 108, 8, 252, 128, 215), F32([]int{}, 0.02), Of[uint8]([]int{}, 100), F32([]int{}, 0.01), Of[uint8]([]int{}, 20)), Want: Vals(Of[uint8]([]int{1, 2, 3, 7}, 42, 78, 106, 118, 0, 0, 39, 211, 195, 89, 44, 0, 0, 20, 128, 194, 142, 56, 20, 34, 69, 0, 36, 126, 23, 0, 44, 44, 0, 0, 111, 82, 18, 0, 0, 75, 28, 49, 54, 144, 114, 45))},
		{Domain: "com.microsoft", Op: "QLinearAveragePool", Opset: 1, Attrs: onnx.NewAttrs("kernel_shape", []int{3, 3}, "strides", []int{2, 2}, "pads", []int{1, 1, 1, 1}, "count_include_pad", 1), In: Vals(Of[uint8]([]int{1, 2, 6, 7}, 31, 42, 45, 145, 220, 155, 123, 241, 47, 42, 171, 218, 68, 66, 134, 199, 72, 210, 132, 180, 160, 123, 137, 254, 101, 241, 202, 46, 223, 98, 45, 64, 34, 86, 28, 139, 250, 246, 241, 62, 59, 173, 248, 211, 53, 188, 129, 113, 127, 139, 234, 202, 10, 195, 80, 86, 153, 251, 16, 131, 60, 233, 119, 218, 225, 25, 194, 202, 212, 252, 194, 213, 181, 75, 217, 179, 174, 249, 188, 86, 77, 83, 42, 20), F32([]int{}, 0.02), Of[uint8]([]int{}, 100), F32([]int{}, 0.01), Of[uint8]([]int{}, 20)), Want: Vals(Of[uint8]([]int{1, 2, 3, 4}, 11, 0, 104, 23, 82, 94, 158, 47, 102, 139, 62, 19, 116, 86, 46, 21, 158, 106, 113, 105, 173, 101, 105, 82))},
		{Domain: "com.microsoft", Op: "QLinearAveragePool", Opset: 1, Attrs: onnx.NewAttrs("kernel_shape", []int{2, 2}, "auto_pad", "SAME_UPPER", "channels_last", 1, "strides", []int{2, 2}), In: Vals(Of[uint8]([]int{1, 6, 7, 2}, 193, 200, 42, 100, 235, 214, 152, 248, 84, 216, 239, 151, 39, 75, 131, 71, 23, 43, 247, 97, 147, 112, 205, 25, 72, 149, 205, 118, 179, 205, 164, 209, 243, 55, 110, 57, 106, 0, 177, 60, 213, 184, 85, 116, 171, 106, 53, 11, 141, 136, 196, 33, 16, 188, 186, 204, 3, 167, 245, 195, 119, 121, 104, 14, 184, 137, 133, 238, 187, 245, 21, 243, 144, 102, 142, 9, 238, 161, 10, 233, 115, 30, 161, 17), F32([]int{}, 0.02), Of[uint8]([]int{}, 100), F32([]int{}, 0.01), Of[uint8]([]int{}, 20)), Want: Vals(Of[uint8]([]int{1, 3, 4, 2}, 15, 27, 210, 156, 120, 90, 64, 13, 120, 138, 94, 0, 68, 0, 219, 208, 26, 173, 122, 0, 41, 139, 168, 82))},
		{Domain: "com.microsoft", Op: "QLinearAveragePool", Opset: 1, Attrs: onnx.NewAttrs("kernel_shape", []int{3, 3}, "strides", []int{2, 2}, "ceil_mode", 1), In: Vals(Of[uint8]([]int{1, 2, 6, 8}, 140, 194, 18, 202, 151, 82, 56, 2, 50, 72, 224, 131, 50, 190, 116, 213, 192, 238, 181, 27, 141, 108, 206, 39, 119, 211, 158, 9, 209, 93, 173, 167, 164, 106, 103, 25, 142, 74, 101, 42, 190, 236, 97, 108, 119, 18, 193, 225, 128, 15, 86, 40, 211, 204, 97, 96, 216, 22, 201, 246, 114, 193, 182, 229, 8, 180, 99, 219, 220, 73, 148, 126, 142, 212, 170, 193, 173, 64, 149, 97, 107, 28, 46, 87, 74, 162, 74, 63, 110, 145, 255, 130, 90, 82, 114, 237), F32([]int{}, 0.02), Of[uint8]([]int{}, 100), F32([]int{}, 0.01), Of[uint8]([]int{}, 20)), Want: Vals(Of[uint8]([]int{1, 2, 3, 4}, 111, 70, 64, 31, 147, 41, 97, 63, 119, 18, 36, 100, 32, 139, 140, 113, 40, 105, 73, 39, 50, 47, 19, 64))},
		{Domain: "com.microsoft", Op: "QLinearAveragePool", Opset: 1, Attrs: onnx.NewAttrs("kernel_shape", []int{3}), In: Vals(Of[int8]([]int{1, 2, 9}, -33, -65, 20, 70, 114, -57, 99, 90, -32, -43, -60, -47, 98, -49, -2, 111, 47, -95), F32([]int{}, 0.02), Of[int8]([]int{}, 1), F32([]int{}, 0.01), Of[int8]([]int{}, 2)), Want: Vals(Of[int8]([]int{1, 2, 7}, -52, 17, 127, 85, 104, 88, 105, -100, -6, 1, 31, 40, 104, 42))},
		{Domain: "com.microsoft", Op: "QLinearAveragePool", Opset: 1, Attrs: onnx.NewAttrs("kernel_shape", []int{3}), In: Vals(Of[uint8]([]int{1, 2, 2}, 18, 57, 221, 58), F32([]int{}, 0.02), Of[uint8]([]int{}, 100), F32([]int{}, 0.01), Of[uint8]([]int{}, 20)), Want: Vals(nil), Err: "does not fit a kernel of 3"},
		{Domain: "com.microsoft", Op: "QLinearAveragePool", Opset: 1, Attrs: onnx.NewAttrs("kernel_shape", []int{3, 3}), In: Vals(Of[uint8]([]int{1, 2, 2}, 80, 138, 126, 19), F32([]int{}, 0.02), Of[uint8]([]int{}, 100), F32([]int{}, 0.01), Of[uint8]([]int{}, 20)), Want: Vals(nil), Err: "X has 3 dimensions, want 4"},
	})
}

// Channels that are last are averaged many at a time; the results are those of single ones.
func TestQLinearAveragePoolChannelsLast(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, ch := range []int{8, 40} {
		for _, as := range []onnx.Attrs{
			onnx.NewAttrs("kernel_shape", []int{2, 2}, "strides", []int{2, 2}),
			onnx.NewAttrs("kernel_shape", []int{3, 3}, "pads", []int{1, 1, 1, 1}),
			onnx.NewAttrs("kernel_shape", []int{3, 3}, "strides", []int{2, 1}, "pads", []int{1, 0, 1, 1}, "count_include_pad", 1),
			onnx.NewAttrs("kernel_shape", []int{2, 3}, "strides", []int{2, 2}, "ceil_mode", 1),
			onnx.NewAttrs("kernel_shape", []int{3, 2}, "strides", []int{2, 2}, "auto_pad", "SAME_LOWER"),
		} {
			const n, h, w = 2, 7, 5
			first, last := make([]uint8, n*ch*h*w), make([]uint8, n*ch*h*w)
			for i := range first {
				first[i] = uint8(r.Uint32())
				in, c, p := i/(ch*h*w), i/(h*w)%ch, i%(h*w)
				last[(in*h*w+p)*ch+c] = first[i]
			}
			signed := func(x []uint8) []int8 {
				y := make([]int8, len(x))
				for i, v := range x {
					y[i] = int8(v)
				}
				return y
			}
			node := func(as onnx.Attrs, x, zx, zy *tensor.Tensor) *tensor.Tensor {
				out, err := ops.Eval(par.P{}, pool(as, 5), []tensor.Value{x, tensor.Scalar(float32(0.021)), zx, tensor.Scalar(float32(0.013)), zy}, ops.BuildEnv{})
				if err != nil {
					t.Fatal(err)
				}
				return out[0].(*tensor.Tensor)
			}
			for _, c := range [][4]*tensor.Tensor{
				{tensor.Of(first, n, ch, h, w), tensor.Of(last, n, h, w, ch), tensor.Scalar(uint8(120)), tensor.Scalar(uint8(90))},
				{tensor.Of(signed(first), n, ch, h, w), tensor.Of(signed(last), n, h, w, ch), tensor.Scalar(int8(3)), tensor.Scalar(int8(-7))},
			} {
				want, got := node(as, c[0], c[2], c[3]), node(as.Set("channels_last", 1), c[1], c[2], c[3])
				s := want.Shape()
				if fmt.Sprint(got.Shape()) != fmt.Sprint([]int{s[0], s[2], s[3], s[1]}) {
					t.Fatalf("shape %v, want that of %v", got.Shape(), s)
				}
				area := s[2] * s[3]
				for i, b := range want.Bytes() {
					if g := got.Bytes()[(i/(ch*area)*area+i%area)*ch+i/area%ch]; g != b {
						t.Fatalf("%v, %d channels of %v: element %d is %d, want %d", as, ch, c[0].DType(), i, g, b)
					}
				}
			}
		}
	}
}

// pool is a node with so many inputs.
func pool(as onnx.Attrs, inputs int) *onnx.Node {
	g := onnx.NewGraph("g", map[string]int{"com.microsoft": 1})
	in := make([]*onnx.Value, inputs)
	for i := range in {
		in[i] = g.NewValue("", onnx.Type{})
	}
	return g.NewNodeIn("com.microsoft", "QLinearAveragePool", as, in, 1)
}
