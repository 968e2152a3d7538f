package onnxgo

import (
	"errors"
	"slices"
	"testing"

	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
	gorgonia "gorgonia.org/tensor"
)

func roundTrip[T interface {
	tensor.Element
	comparable
}](t *testing.T, d gorgonia.Dtype, a, b T) {
	t.Helper()
	for _, shape := range [][]int{{}, {1}, {6}, {1, 6}, {6, 1}, {2, 3}, {2, 1, 3}, {0}, {2, 0, 3}} {
		n, _ := tensor.Count(shape)
		data := make([]T, n)
		for i := range data {
			data[i] = a
			if i%2 == 1 {
				data[i] = b
			}
		}
		x := tensor.Of(data, shape...)
		g, err := ToGorgonia(x)
		if err != nil {
			t.Fatal(err)
		}
		if g.Dtype() != d || !slices.Equal([]int(g.Shape()), shape) {
			t.Errorf("%v %v became %v %v", x.DType(), shape, g.Dtype(), g.Shape())
		}
		y, err := FromGorgonia(g)
		if err != nil {
			t.Fatalf("%v %v: %v", x.DType(), shape, err)
		}
		if err := tensor.Compare(y, x, tensor.Tolerance{}); err != nil {
			t.Error(err)
		}
		if n > 1 && &tensor.Data[T](y)[0] != &data[0] {
			t.Errorf("%v %v was copied", x.DType(), shape)
		}
	}
}

func TestTensorTypes(t *testing.T) {
	roundTrip[float32](t, gorgonia.Float32, 1.5, -2)
	roundTrip[float64](t, gorgonia.Float64, 1.5, -2)
	roundTrip[int8](t, gorgonia.Int8, 1, -128)
	roundTrip[int16](t, gorgonia.Int16, 1, -32768)
	roundTrip[int32](t, gorgonia.Int32, 1, -1<<31)
	roundTrip[int64](t, gorgonia.Int64, 1, -1<<63)
	roundTrip[uint8](t, gorgonia.Uint8, 1, 255)
	roundTrip[uint16](t, gorgonia.Uint16, 1, 65535)
	roundTrip[uint32](t, gorgonia.Uint32, 1, 1<<32-1)
	roundTrip[uint64](t, gorgonia.Uint64, 1, 1<<64-1)
	roundTrip(t, gorgonia.Bool, true, false)
	roundTrip(t, gorgonia.String, "a", "")
	roundTrip[complex64](t, gorgonia.Complex64, 1+2i, -3i)
	roundTrip[complex128](t, gorgonia.Complex128, 1+2i, -3i)

	for _, x := range []*tensor.Tensor{tensor.New(tensor.Float16, 2), tensor.New(tensor.BFloat16, 2), tensor.New(tensor.Int4, 2), tensor.New(tensor.Float8E4M3FN, 2)} {
		if _, err := ToGorgonia(x); !errors.Is(err, ops.ErrUnsupported) {
			t.Errorf("%v: %v", x.DType(), err)
		}
	}
	for name, g := range map[string]gorgonia.Tensor{
		"int":    gorgonia.New(gorgonia.WithBacking([]int{1, 2})),
		"uint":   gorgonia.New(gorgonia.WithBacking([]uint{1, 2})),
		"masked": gorgonia.New(gorgonia.WithBacking([]float32{1, 2}, []bool{true, false})),
		"sparse": gorgonia.CSCFromCoord(gorgonia.Shape{2, 2}, []int{0, 1}, []int{1, 0}, []float32{1, 2}),
		"nil":    nil,
	} {
		if _, err := FromGorgonia(g); !errors.Is(err, ops.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := FromGorgonia((*gorgonia.Dense)(nil)); err == nil {
		t.Error("nil *Dense: no error")
	}
}

// span is a gorgonia.Slice: [start, end) in steps.
type span [3]int

func (s span) Start() int { return s[0] }
func (s span) End() int   { return s[1] }
func (s span) Step() int  { return s[2] }

func cut(start int, more ...int) gorgonia.Slice {
	s := span{start, start + 1, 1}
	copy(s[1:], more)
	return s
}

func TestTensorLayouts(t *testing.T) {
	seq := func(shape ...int) *gorgonia.Dense {
		n, _ := tensor.Count(shape)
		return gorgonia.New(gorgonia.WithShape(shape...), gorgonia.WithBacking(gorgonia.Range(gorgonia.Float32, 0, n)))
	}
	view := func(d *gorgonia.Dense, ss ...gorgonia.Slice) gorgonia.Tensor {
		v, err := d.Slice(ss...)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	transposed := seq(2, 3)
	if err := transposed.T(); err != nil {
		t.Fatal(err)
	}
	permuted := seq(2, 3, 2)
	if err := permuted.T(1, 2, 0); err != nil {
		t.Fatal(err)
	}
	moved := seq(2, 3)
	if err := moved.T(); err != nil {
		t.Fatal(err)
	}
	if err := moved.Transpose(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		g     gorgonia.Tensor
		shape []int
		want  []float32
	}{
		"transposed":   {transposed, []int{3, 2}, []float32{0, 3, 1, 4, 2, 5}},
		"moved":        {moved, []int{3, 2}, []float32{0, 3, 1, 4, 2, 5}},
		"permuted":     {permuted, []int{3, 2, 2}, []float32{0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11}},
		"rows":         {view(seq(4, 3), cut(1, 3)), []int{2, 3}, []float32{3, 4, 5, 6, 7, 8}},
		"columns":      {view(seq(3, 4), nil, cut(1, 3)), []int{3, 2}, []float32{1, 2, 5, 6, 9, 10}},
		"one column":   {view(seq(3, 4), nil, cut(2)), []int{3}, []float32{2, 6, 10}},
		"one row":      {view(seq(3, 4), cut(2)), []int{4}, []float32{8, 9, 10, 11}},
		"element":      {view(seq(3, 4), cut(2), cut(1)), []int{}, []float32{9}},
		"steps":        {view(seq(6), cut(0, 6, 2)), []int{3}, []float32{0, 2, 4}},
		"column major": {gorgonia.New(gorgonia.WithShape(2, 3), gorgonia.AsFortran([]float32{0, 1, 2, 3, 4, 5})), []int{2, 3}, []float32{0, 1, 2, 3, 4, 5}}, // stored 0 3 1 4 2 5
	} {
		x, err := FromGorgonia(c.g)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.Equal(x.Shape(), c.shape) || !slices.Equal(tensor.Data[float32](x), c.want) {
			t.Errorf("%s: got %v %v, want %v %v", name, x.Shape(), tensor.Data[float32](x), c.shape, c.want)
		}
	}
}
