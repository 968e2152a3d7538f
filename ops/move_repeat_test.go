package ops_test

import (
	"fmt"
	"testing"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Repetitions of every dimension, of elements of every size, against a loop that computes every index:
// some so large that they are made in chunks, some inside and some outside of these.
func TestRepetitions(t *testing.T) {
	var cases []Case
	for _, c := range []struct {
		op     string
		shape  []int
		repeat []int64
	}{
		{"Tile", []int{5, 3, 30, 2}, []int64{3, 1, 3, 3}}, {"Tile", []int{53, 3, 30, 2}, []int64{3, 1, 3, 3}}, {"Tile", []int{2, 70, 9}, []int64{1, 4, 2}},
		{"Tile", []int{3, 2, 41, 43}, []int64{2, 9, 13, 1}}, {"Tile", []int{7, 1}, []int64{1, 100}}, {"Tile", []int{300, 200}, []int64{3, 2}},
		{"Tile", []int{4, 5, 17}, []int64{1, 3, 1}}, {"Tile", []int{2, 3, 200, 100}, []int64{3, 2, 2, 1}}, {"Tile", []int{2, 3, 2, 3, 2, 3, 2, 3, 2}, []int64{2, 1, 2, 1, 2, 1, 2, 1, 2}},
		{"Tile", []int{6, 33, 5}, []int64{1, 1, 2}}, {"Tile", []int{6, 5, 3}, []int64{0, 2, 2}},
		{"Expand", []int{9, 1, 5, 1}, []int64{1, 13, 1, 21}}, {"Expand", []int{1, 2, 11, 1}, []int64{39, 1, 1, 33}}, {"Expand", []int{40, 1, 7}, []int64{1, 50, 1}},
		{"Expand", []int{1, 3, 1, 6}, []int64{700, 1, 9, 1}}, {"Expand", []int{2, 1, 200, 200}, []int64{1, 3, 1, 1}}, {"Expand", []int{1, 1}, []int64{90, 70}},
	} {
		out, from := make([]int, len(c.shape)), tensor.Strides(c.shape)
		dims := make([]int64, len(c.shape))
		for i, n := range c.shape {
			out[i] = n * int(c.repeat[i])
			dims[i] = int64(out[i])
		}
		if c.op == "Tile" {
			dims = c.repeat
		}
		x := iota32(c.shape...)
		y := tensor.New(tensor.Float32, out...)
		to := tensor.Strides(out)
		for i := range y.Len() {
			at := 0
			for k := range out {
				at += i / to[k] % out[k] % c.shape[k] * from[k]
			}
			tensor.Data[float32](y)[i] = tensor.Data[float32](x)[at]
		}
		name := fmt.Sprint(c.shape, c.repeat)
		cases = append(cases, Case{Name: name, Op: c.op, In: Vals(x, I64(nil, dims...)), Want: Vals(y)})
		for _, d := range []tensor.DType{tensor.Uint8, tensor.Int16, tensor.Float64, tensor.Complex128} {
			cases = append(cases, Case{Name: name + fmt.Sprint(d), Op: c.op, In: Vals(reinterpreted(x, d), I64(nil, dims...)), Want: Vals(reinterpreted(y, d))})
		}
	}
	Run(t, cases)
}

// Rows of 1 to 70 bytes, of which several are joined.
func TestConcatOfShortRows(t *testing.T) {
	var cases []Case
	for n := 1; n <= 70; n += 1 + n/20 {
		for rows := 3; rows < 8; rows += 3 {
			a, b, y := make([]uint8, rows*n), make([]uint8, rows*3), make([]uint8, 0, rows*(n+3))
			for r := range rows {
				for i := range n {
					a[r*n+i] = uint8(r*n + i)
				}
				copy(b[r*3:], []uint8{255, 254, uint8(r)})
				y = append(append(y, a[r*n:][:n]...), b[r*3:][:3]...)
			}
			cases = append(cases, Case{Name: fmt.Sprint(rows, n), Op: "Concat", Attrs: onnx.NewAttrs("axis", 1),
				In: Vals(tensor.Of(a, rows, n), tensor.Of(b, rows, 3)), Want: Vals(tensor.Of(y, rows, n+3))})
		}
	}
	Run(t, cases)
}
