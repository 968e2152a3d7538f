package ops_test

import (
	"fmt"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Transposes of many tiny matrices, of elements of every size, against a loop that computes every index.
func TestTransposeOfTinyMatrices(t *testing.T) {
	var cases []Case
	for _, c := range []struct{ shape, perm []int }{
		{[]int{9, 2, 2}, []int{0, 2, 1}}, {[]int{300, 2, 3}, []int{0, 2, 1}}, {[]int{3, 513, 2, 2}, []int{0, 1, 3, 2}}, {[]int{2, 40, 3, 4, 2}, []int{0, 3, 1, 4, 2}},
		{[]int{2, 2, 600}, []int{2, 1, 0}}, {[]int{4, 3, 257, 4}, []int{2, 1, 3, 0}}, {[]int{2, 3, 4, 5, 6}, []int{4, 2, 0, 3, 1}}, {[]int{7, 8, 2, 8}, []int{0, 3, 1, 2}},
	} {
		out, from := make([]int, len(c.perm)), tensor.Strides(c.shape)
		for i, p := range c.perm {
			out[i] = c.shape[p]
		}
		x := iota32(c.shape...)
		y := tensor.New(tensor.Float32, out...)
		to := tensor.Strides(out)
		for i := range y.Len() {
			at := 0
			for k := range out {
				at += i / to[k] % out[k] * from[c.perm[k]]
			}
			tensor.Data[float32](y)[i] = tensor.Data[float32](x)[at]
		}
		as := onnx.NewAttrs("perm", c.perm)
		name := fmt.Sprint(c.shape, c.perm)
		cases = append(cases, Case{Name: name, Op: "Transpose", Attrs: as, In: Vals(x), Want: Vals(y)})
		for _, d := range []tensor.DType{tensor.Uint8, tensor.Int16, tensor.Float64, tensor.Complex128} {
			cases = append(cases, Case{Name: name + fmt.Sprint(d), Op: "Transpose", Attrs: as, In: Vals(reinterpreted(x, d)), Want: Vals(reinterpreted(y, d))})
		}
	}
	Run(t, cases)
}

// reinterpreted returns whole numbers as another type: what exceeds it loses its upper bits.
func reinterpreted(x *tensor.Tensor, d tensor.DType) *tensor.Tensor {
	y := tensor.New(d, x.Shape()...)
	for i, v := range tensor.Data[float32](x) {
		switch d {
		case tensor.Uint8:
			tensor.Data[uint8](y)[i] = uint8(int(v) * 7)
		case tensor.Int16:
			tensor.Data[int16](y)[i] = int16(v)
		case tensor.Float64:
			tensor.Data[float64](y)[i] = float64(v)
		default:
			tensor.Data[complex128](y)[i] = complex(float64(v), 1)
		}
	}
	return y
}
