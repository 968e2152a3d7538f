package ops_test

import (
	"math"
	"math/rand/v2"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestQLinearSoftmax(t *testing.T) {
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QLinearSoftmax", Opset: 1, Attrs: onnx.NewAttrs("opset", 13), In: Vals(Of[uint8]([]int{2, 3, 4}, 168, 186, 109, 20, 134, 110, 223, 174, 88, 14, 151, 71, 175, 221, 90, 231, 132, 135, 195, 202, 232, 255, 38, 105), F32([]int{}, 0.02), Of[uint8]([]int{}, 100), F32([]int{}, 0.00390625), Of[uint8]([]int{}, 0)), Want: Vals(Of[uint8]([]int{2, 3, 4}, 92, 131, 28, 5, 26, 16, 155, 58, 47, 11, 165, 33, 38, 95, 7, 116, 27, 28, 94, 108, 95, 151, 2, 8))},
		{Domain: "com.microsoft", Op: "QLinearSoftmax", Opset: 1, Attrs: onnx.NewAttrs("opset", 12, "axis", 1), In: Vals(Of[uint8]([]int{2, 3, 4}, 238, 78, 1, 147, 192, 190, 207, 164, 35, 216, 107, 216, 208, 248, 3, 221, 160, 124, 203, 243, 131, 22, 185, 59), F32([]int{}, 0.02), Of[uint8]([]int{}, 100), F32([]int{}, 0.00390625), Of[uint8]([]int{}, 0)), Want: Vals(Of[uint8]([]int{2, 3, 4}, 62, 3, 1, 10, 25, 24, 33, 14, 1, 40, 5, 40, 29, 64, 0, 37, 11, 5, 26, 58, 6, 1, 18, 1))},
		{Domain: "com.microsoft", Op: "QLinearSoftmax", Opset: 1, Attrs: onnx.NewAttrs("opset", 13, "axis", 1), In: Vals(Of[int8]([]int{2, 3, 4}, -71, -79, -78, 104, -36, -101, -83, -27, -40, -49, 114, 93, 18, 124, -41, -93, -59, -106, 115, -72, -15, -77, 122, -88), F32([]int{}, 0.05), Of[int8]([]int{}, 10), F32([]int{}, 0.00390625), Of[int8]([]int{}, -128)), Want: Vals(Of[int8]([]int{2, 3, 4}, -106, -84, -128, 34, 0, -113, -128, -128, -23, 69, 127, -34, 83, 127, -128, -78, -124, -128, -22, 14, -87, -128, 22, -64))},
		{Domain: "com.microsoft", Op: "QLinearSoftmax", Opset: 1, Attrs: onnx.NewAttrs("opset", 13, "axis", 2), In: Vals(Of[uint8]([]int{2, 3}, 131, 243, 133, 230, 229, 196), F32([]int{}, 0.02), Of[uint8]([]int{}, 100), F32([]int{}, 0.00390625), Of[uint8]([]int{}, 0)), Want: Vals(nil), Err: "axis 2 is not in"},
	})
}

// TestQLinearSoftmaxRows has rows long enough for tables.
func TestQLinearSoftmaxRows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	const rows, n = 3, 45
	u, s := make([]uint8, rows*n), make([]int8, rows*n)
	wu, ws := make([]uint8, rows*n), make([]int8, rows*n)
	for i := range u {
		u[i] = uint8(r.IntN(240))
		s[i] = int8(u[i] ^ 0x80)
	}
	for row := range rows {
		sum := 0.0
		for _, v := range u[row*n : (row+1)*n] {
			sum += math.Exp(0.02 * float64(v))
		}
		for i, v := range u[row*n : (row+1)*n] {
			q := math.RoundToEven(math.Exp(0.02*float64(v)) / sum / 0.001)
			wu[row*n+i], ws[row*n+i] = uint8(min(q+3, 255)), int8(min(q-128, 127))
		}
	}
	scale, at, one := F32([]int{}, 0.02), onnx.NewAttrs("opset", 13), []int{}
	shape := []int{rows, n}
	Run(t, []Case{
		{Domain: "com.microsoft", Op: "QLinearSoftmax", Attrs: at, In: Vals(Of(shape, u...), scale, Of[uint8](one, 9), F32(one, 0.001), Of[uint8](one, 3)), Want: Vals(Of(shape, wu...))},
		{Domain: "com.microsoft", Op: "QLinearSoftmax", Attrs: at, In: Vals(Of(shape, s...), scale, Of[int8](one, 9), F32(one, 0.001), Of[int8](one, -128)), Want: Vals(Of(shape, ws...))},
	})
}

// TestQLinearSoftmaxShapes has short and long rows, and columns by one, four and eight and more than are done together.
func TestQLinearSoftmaxShapes(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 7))
	one := []int{}
	var cases []Case
	for _, s := range []struct {
		shape []int
		axis  int
	}{
		{[]int{3, 1}, 1}, {[]int{40, 7}, 1}, {[]int{300, 9}, 1}, {[]int{5, 16}, 1}, {[]int{5, 31}, 1}, {[]int{5, 32}, 1}, {[]int{3, 1500}, 1},
		{[]int{2, 5, 3}, 1}, {[]int{3, 50, 4}, 1}, {[]int{2, 50, 1, 7}, 1}, {[]int{2, 9, 8}, 1}, {[]int{3, 20, 13}, 1}, {[]int{2, 3, 300}, 1}, {[]int{1, 2, 2000}, 1},
		{[]int{2, 1, 12}, 1}, {[]int{500, 2}, 0}, {[]int{300, 24}, 0},
	} {
		n, inner := s.shape[s.axis], 1
		for _, d := range s.shape[s.axis+1:] {
			inner *= d
		}
		size := n * inner
		for _, d := range s.shape[:s.axis] {
			size *= d
		}
		for kind := range 8 {
			scale, out := float32(0.02), float32(0.003)
			if kind&2 != 0 {
				scale = -0.05
			}
			if kind&4 != 0 {
				out = -0.01
			}
			x := make([]byte, size)
			for i := range x {
				x[i] = byte(r.Uint32())
			}
			value := func(v byte) float64 {
				if kind&1 != 0 {
					return float64(scale) * float64(int8(v))
				}
				return float64(scale) * float64(v)
			}
			want := make([]byte, size)
			zero, lo, hi := 3, 0, 255
			if kind&1 != 0 {
				zero, lo, hi = -20, -128, 127
			}
			for i := range x {
				first := i/(n*inner)*n*inner + i%inner
				top, sum := math.Inf(-1), 0.0
				for k := range n {
					top = max(top, value(x[first+k*inner]))
				}
				for k := range n {
					sum += math.Exp(value(x[first+k*inner]) - top)
				}
				q := int(math.RoundToEven(float64(float32(math.Exp(value(x[i])-top)/sum) / out)))
				want[i] = byte(min(max(q+zero, lo), hi))
			}
			in := Vals(Of(s.shape, x...), F32(one, scale), Of[uint8](one, 9), F32(one, out), Of[uint8](one, 3))
			w := Vals(Of(s.shape, want...))
			if kind&1 != 0 {
				signed := func(x []byte) []int8 {
					y := make([]int8, len(x))
					for i, v := range x {
						y[i] = int8(v)
					}
					return y
				}
				in = Vals(Of(s.shape, signed(x)...), F32(one, scale), Of[int8](one, 9), F32(one, out), Of[int8](one, -20))
				w = Vals(Of(s.shape, signed(want)...))
			}
			cases = append(cases, Case{Domain: "com.microsoft", Op: "QLinearSoftmax", Attrs: onnx.NewAttrs("opset", 13, "axis", s.axis), In: in, Want: w})
		}
	}
	Run(t, cases)
}
