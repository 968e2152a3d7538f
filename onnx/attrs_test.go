package onnx_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestAttrs(t *testing.T) {
	x := tensor.Scalar[float32](1)
	as := onnx.NewAttrs("i", 1, "b", true, "n", false, "f", 1.5, "d", tensor.Int64, "is", []int{1, 2}, "fs", []float64{1, 2},
		"s", "t", "ss", []string{"u"}, "t", x)
	for name, want := range map[string]any{"i": int64(1), "b": int64(1), "n": int64(0), "f": float32(1.5), "d": int64(7),
		"is": []int64{1, 2}, "fs": []float32{1, 2}, "s": "t", "ss": []string{"u"}, "t": x} {
		assert.Equal(t, want, as.Get(name).Value, name)
	}
	assert.Nil(t, as.Get("none"))
	assert.Panics(t, func() { onnx.NewAttrs("a", struct{}{}) })

	as = as.Set("i", 2).Set("new", "x")
	assert.Equal(t, int64(2), as.Get("i").Value)
	assert.Equal(t, "x", as.Get("new").Value)
	less := as.Without("i", "new")
	assert.Len(t, less, len(as)-2)
	assert.NotNil(t, as.Get("i"), "Without copies")

	n := &onnx.Node{Attrs: append(as, onnx.Attr{Name: "empty", Value: []int64{}}, onnx.Attr{Name: "ref", Ref: "outer"})}
	i, err := onnx.Attribute(n, "i", int64(0))
	require.NoError(t, err)
	assert.EqualValues(t, 2, i)
	i, err = onnx.Attribute(n, "none", int64(9))
	require.NoError(t, err)
	assert.EqualValues(t, 9, i)
	fs, err := onnx.Attribute(n, "empty", []float32{1})
	require.NoError(t, err, "an empty list may have lost its type")
	assert.Empty(t, fs)
	_, err = onnx.Attribute(n, "ref", int64(0))
	require.EqualError(t, err, `attribute "ref" refers to the function attribute "outer" outside of a function`)
	for _, c := range []struct{ name, want string }{
		{"f", "a float"}, {"s", "a string"}, {"t", "a tensor"}, {"is", "ints"}, {"fs", "floats"}, {"ss", "strings"},
	} {
		_, err = onnx.Attribute(n, c.name, int64(0))
		require.EqualError(t, err, `attribute "`+c.name+`" is `+c.want+`, want an int`)
	}
	for _, c := range []struct {
		value any
		want  string
	}{
		{(*onnx.Graph)(nil), "a graph"}, {(*tensor.Sparse)(nil), "a sparse tensor"}, {onnx.Type{}, "a type"},
		{[]*tensor.Tensor{}, "tensors"}, {[]*onnx.Graph{}, "graphs"}, {[]onnx.Type{}, "[]onnx.Type"}, {int64(1), "an int"},
	} {
		n.Attrs = onnx.Attrs{{Name: "a", Value: c.value}}
		_, err = onnx.Attribute(n, "a", "")
		require.EqualError(t, err, `attribute "a" is `+c.want+`, want a string`)
	}
}

func TestTypeOf(t *testing.T) {
	x := tensor.Of([]float32{1, 2})
	sparse := &tensor.Sparse{Values: x, Indices: tensor.Of([]int64{0, 3}), Shape: []int{4}}
	for _, c := range []struct {
		v    tensor.Value
		want string
	}{
		{x, "float32[2]"}, {sparse, "sparse float32[4]"}, {&tensor.Sequence{DType: tensor.Int64}, "sequence(int64[...])"},
		{&tensor.Sequence{Elems: []tensor.Value{x}}, "sequence(float32[2])"},
		{&tensor.Sequence{Elems: []tensor.Value{x, x}}, "sequence(float32[...])"},
		{&tensor.Optional{}, "optional(?)"}, {&tensor.Optional{Elem: x}, "optional(float32[2])"},
		{&tensor.Map{Keys: tensor.Of([]string{}), Values: x}, "map(string,float32[])"}, {nil, "?"},
	} {
		assert.Equal(t, c.want, onnx.TypeOf(c.v).String())
	}
	assert.Equal(t, "?[...]", onnx.UnrankedType(tensor.Undefined).String())
	assert.Equal(t, "map(int64,?)", onnx.Type{Kind: onnx.MapKind, DType: tensor.Int64}.String())
	assert.Equal(t, 1, onnx.TypeOf(x).Rank())
	assert.Equal(t, -1, onnx.UnrankedType(tensor.Float32).Rank())
	s, ok := onnx.TypeOf(x).Static()
	assert.True(t, ok)
	assert.Equal(t, []int{2}, s)
	_, ok = onnx.UnrankedType(tensor.Float32).Static()
	assert.False(t, ok)
	_, ok = onnx.TensorType(tensor.Float32, onnx.Name("N")).Static()
	assert.False(t, ok)
}

// A model too large for protobuf is refused before its data is touched.
func TestEncodeTooLarge(t *testing.T) {
	if testing.Short() && os.Getenv("CI") == "" {
		t.Skip("reserves 400 MiB of address space")
	}
	m := decode(t, graph(relu))
	x := tensor.New(tensor.Float32, 100<<20)
	for range 6 {
		m.Graph.AddConst(m.Graph.NewConst("", x))
	}
	_, err := onnx.Encode(m)
	require.ErrorIs(t, err, onnx.ErrLimit)
	require.ErrorContains(t, err, "size of the file without external data is 25165")
}
