package onnx_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/onnxpb"
	"github.com/gneiss-run/gneiss/tensor"
)

func text(t testing.TB, m proto.Message, s string) []byte {
	t.Helper()
	require.NoError(t, prototext.Unmarshal([]byte(s), m))
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

func TestDecodeTensor(t *testing.T) {
	for _, c := range []struct {
		text string
		want *tensor.Tensor
	}{
		{`data_type: 1 dims: 2 float_data: 1 float_data: -2`, tensor.Of([]float32{1, -2})},
		{`data_type: 1 float_data: 3`, tensor.Scalar[float32](3)},
		{`data_type: 1 dims: 0 dims: 2`, tensor.Of([]float32{}, 0, 2)},
		{`data_type: 2 dims: 2 int32_data: 0 int32_data: 255`, tensor.Of([]uint8{0, 255})},
		{`data_type: 3 dims: 2 int32_data: -128 int32_data: 127`, tensor.Of([]int8{-128, 127})},
		{`data_type: 4 dims: 1 int32_data: 65535`, tensor.Of([]uint16{65535})},
		{`data_type: 5 dims: 1 int32_data: -32768`, tensor.Of([]int16{-32768})},
		{`data_type: 6 dims: 2 int32_data: -5 int32_data: 2147483647`, tensor.Of([]int32{-5, math.MaxInt32})},
		{`data_type: 7 dims: 1 int64_data: -9223372036854775808`, tensor.Of([]int64{math.MinInt64})},
		{`data_type: 8 dims: 2 string_data: "a" string_data: "\xff"`, tensor.Of([]string{"a", "\xff"})},
		{`data_type: 9 dims: 3 int32_data: 0 int32_data: 1 int32_data: 2`, tensor.Of([]bool{false, true, true})},
		{`data_type: 9 dims: 3 raw_data: "\x00\x01\x07"`, tensor.Of([]bool{false, true, true})},
		{`data_type: 9 dims: 2 raw_data: "\x00\x01"`, tensor.Of([]bool{false, true})},
		{`data_type: 10 dims: 2 int32_data: 15360 int32_data: 48128`, tensor.Of([]tensor.F16{0x3c00, 0xbc00})},
		{`data_type: 11 dims: 1 double_data: 1.5`, tensor.Of([]float64{1.5})},
		{`data_type: 12 dims: 1 uint64_data: 4294967295`, tensor.Of([]uint32{math.MaxUint32})},
		{`data_type: 13 dims: 1 uint64_data: 18446744073709551615`, tensor.Of([]uint64{math.MaxUint64})},
		{`data_type: 14 dims: 1 float_data: 1 float_data: 2`, tensor.Of([]complex64{1 + 2i})},
		{`data_type: 15 dims: 1 double_data: 1 double_data: 2`, tensor.Of([]complex128{1 + 2i})},
		{`data_type: 16 dims: 1 int32_data: 16256`, tensor.Of([]tensor.BF16{0x3f80})},
		{`data_type: 17 dims: 1 int32_data: 200`, tensor.Of([]tensor.F8E4M3FN{200})},
		{`data_type: 18 dims: 1 int32_data: 200`, tensor.Of([]tensor.F8E4M3FNUZ{200})},
		{`data_type: 19 dims: 1 int32_data: 200`, tensor.Of([]tensor.F8E5M2{200})},
		{`data_type: 20 dims: 1 int32_data: 200`, tensor.Of([]tensor.F8E5M2FNUZ{200})},
		{`data_type: 24 dims: 1 int32_data: 200`, tensor.Of([]tensor.F8E8M0{200})},
		{`data_type: 21 dims: 3 int32_data: 0x21 int32_data: 0x03`, packed(t, tensor.Uint4, 3, 0x21, 0x03)},
		{`data_type: 22 dims: 3 int32_data: 0xf1 int32_data: 0x0f`, packed(t, tensor.Int4, 3, 0xf1, 0x0f)},
		{`data_type: 23 dims: 2 raw_data: "\x21"`, packed(t, tensor.Float4E2M1, 2, 0x21)},
		{`data_type: 25 dims: 5 int32_data: 0xe4 int32_data: 1`, packed(t, tensor.Uint2, 5, 0xe4, 1)},
		{`data_type: 26 dims: 4 raw_data: "\xe4"`, packed(t, tensor.Int2, 4, 0xe4)},
		{`data_type: 1 dims: 2 raw_data: "\x00\x00\x80\x3f\x00\x00\x00\xc0"`, tensor.Of([]float32{1, -2})},
	} {
		data := text(t, &onnxpb.TensorProto{}, `name: "n" `+c.text)
		name, got, err := onnx.DecodeTensor(data)
		require.NoError(t, err, c.text)
		assert.Equal(t, "n", name)
		same(t, c.want, got, c.text)

		name, again, err := onnx.DecodeTensor(onnx.EncodeTensor("m", got))
		require.NoError(t, err, c.text)
		assert.Equal(t, "m", name)
		same(t, c.want, again, c.text)
	}
	_, _, err := onnx.DecodeTensor(text(t, &onnxpb.TensorProto{}, `name: "n" data_type: 1`))
	require.EqualError(t, err, `onnx: tensor "n": float_data has 0 values for float32 [], want 1`)
	_, _, err = onnx.DecodeTensor([]byte{0xff})
	require.ErrorIs(t, err, onnx.ErrInvalid)
}

func packed(t *testing.T, d tensor.DType, n int, data ...byte) *tensor.Tensor {
	x, err := tensor.FromBytes(d, []int{n}, data, nil)
	require.NoError(t, err)
	return x
}

func same(t *testing.T, want, got *tensor.Tensor, what string) {
	t.Helper()
	assert.Equal(t, want.DType(), got.DType(), what)
	assert.Equal(t, fmt.Sprint(want.Shape()), fmt.Sprint(got.Shape()), what)
	if want.DType() == tensor.String {
		assert.Equal(t, tensor.Data[string](want), tensor.Data[string](got), what)
	} else {
		assert.Equal(t, string(want.Bytes()), string(got.Bytes()), what)
	}
}

// The elements of unpacked and split fields are put together.
func TestDecodeChunks(t *testing.T) {
	data := append(str(8, "w"), 0x10, 7, 0x08, 4) // int64[4]
	data = append(data, str(7, "\x01\x02")...)
	data = append(data, 0x38, 3) // one element, not packed
	data = append(data, str(7, "")...)
	data = append(data, str(7, "\x04")...)
	_, x, err := onnx.DecodeTensor(data)
	require.NoError(t, err)
	assert.Equal(t, []int64{1, 2, 3, 4}, tensor.Data[int64](x))

	data = append(str(8, "w"), 0x10, 1, 0x08, 2) // float[2]
	data = append(data, 0x25, 0, 0, 0x80, 0x3f)
	data = append(data, str(4, "\x00\x00\x00\x40")...)
	_, x, err = onnx.DecodeTensor(data)
	require.NoError(t, err)
	assert.Equal(t, []float32{1, 2}, tensor.Data[float32](x))
}

// Raw data is not copied.
func TestDecodeViews(t *testing.T) {
	data := file(t, graph(relu+`initializer { name: "w" dims: 1 data_type: 1 raw_data: "abcd" } initializer { name: "v" dims: 1 data_type: 1 float_data: 1 }`))
	m, err := onnx.Decode(data, onnx.DecodeOptions{})
	require.NoError(t, err)
	before := string(m.Graph.Consts[0].Const.Bytes()) + string(m.Graph.Consts[1].Const.Bytes())
	for i := range data {
		data[i] ^= 0xff
	}
	after := string(m.Graph.Consts[0].Const.Bytes()) + string(m.Graph.Consts[1].Const.Bytes())
	for i := range before {
		assert.Equal(t, before[i]^0xff, after[i])
	}
}

func TestValues(t *testing.T) {
	f := onnx.UnrankedType(tensor.Float32)
	seqOf := func(e onnx.Type) onnx.Type { return onnx.Type{Kind: onnx.SequenceKind, Elem: &e} }
	optOf := func(e onnx.Type) onnx.Type { return onnx.Type{Kind: onnx.OptionalKind, Elem: &e} }
	x := tensor.Of([]float32{1, 2})
	seq := &tensor.Sequence{Elems: []tensor.Value{x, tensor.Scalar[float32](3)}, DType: tensor.Float32}
	mapType := onnx.Type{Kind: onnx.MapKind, DType: tensor.String, Elem: &f}
	byName := &tensor.Map{Keys: tensor.Of([]string{"a", "b"}), Values: x}
	sparse := &tensor.Sparse{Values: x, Indices: tensor.Of([]int64{0, 3}), Shape: []int{4}}
	for i, c := range []struct {
		v tensor.Value
		t onnx.Type
	}{
		{x, f}, {x, onnx.Type{}}, {seq, seqOf(f)}, {&tensor.Sequence{DType: tensor.Float32}, seqOf(f)},
		{sparse, onnx.Type{Kind: onnx.SparseKind}},
		{&tensor.Optional{}, optOf(f)}, {&tensor.Optional{Elem: x}, optOf(f)}, {&tensor.Optional{Elem: seq}, optOf(seqOf(f))},
		{byName, mapType}, {&tensor.Sequence{Elems: []tensor.Value{byName}}, seqOf(mapType)},
		{&tensor.Map{Keys: tensor.Of([]int64{5}), Values: tensor.Of([]string{"e"})}, onnx.Type{Kind: onnx.MapKind, DType: tensor.Int64, Elem: &onnx.Type{Kind: onnx.TensorKind, DType: tensor.String}}},
		{&tensor.Map{Keys: tensor.Of([]int64{}), Values: tensor.Of([]float32{})}, onnx.Type{Kind: onnx.MapKind}},
		{&tensor.Sequence{Elems: []tensor.Value{&tensor.Optional{Elem: sparse}}}, seqOf(optOf(onnx.Type{Kind: onnx.SparseKind}))},
	} {
		b, err := onnx.EncodeValue("v", c.v)
		require.NoError(t, err, i)
		got, err := onnx.DecodeValue(b, c.t)
		require.NoError(t, err, i)
		again, err := onnx.EncodeValue("v", got)
		require.NoError(t, err, i)
		assert.Equal(t, b, again, i)
		assert.Equal(t, c.v.String(), got.String(), i)
		if s, ok := c.v.(*tensor.Sequence); ok {
			assert.Equal(t, s.DType, got.(*tensor.Sequence).DType)
		}
	}
	for _, v := range []tensor.Value{
		&tensor.Sequence{Elems: []tensor.Value{x, seq}},
		&tensor.Sequence{Elems: []tensor.Value{&tensor.Sequence{Elems: []tensor.Value{x, seq}}}},
		&tensor.Optional{Elem: &tensor.Sequence{Elems: []tensor.Value{x, seq}}},
		&tensor.Map{Keys: x, Values: x}, &tensor.Map{Keys: tensor.Of([]int64{1}), Values: x},
		nil,
	} {
		_, err := onnx.EncodeValue("v", v)
		require.ErrorIs(t, err, onnx.ErrInvalid)
	}
}

func TestDecodeValueErrors(t *testing.T) {
	f := onnx.UnrankedType(tensor.Float32)
	seq := onnx.Type{Kind: onnx.SequenceKind, Elem: &f}
	opt := onnx.Type{Kind: onnx.OptionalKind, Elem: &f}
	m := onnx.Type{Kind: onnx.MapKind, DType: tensor.Int64, Elem: &f}
	deep, deepType := []byte(nil), seq
	for range 100 {
		deep, deepType = msg(5, deep), onnx.Type{Kind: onnx.SequenceKind, Elem: &[]onnx.Type{deepType}[0]}
	}
	for _, c := range []struct {
		data []byte
		t    onnx.Type
		want string
	}{
		{nil, f, `tensor "": data_type is undefined`},
		{nil, onnx.Type{Kind: onnx.OpaqueKind, Opaque: "a.b"}, "values of type opaque(a.b) have no file format"},
		{nil, onnx.Type{Kind: onnx.SparseKind}, `sparse tensor "": values: data_type`},
		{[]byte{0xff}, f, "TensorProto field tag"},
		{[]byte{0xff}, seq, "SequenceProto field tag"},
		{[]byte{0xff}, opt, "OptionalProto field tag"},
		{[]byte{0xff}, m, "MapProto field tag"},
		{msg(3), seq, `element 0: tensor "": data_type`},
		{append(msg(3), msg(5)...), seq, "elements of two kinds"},
		{msg(5), seq, "elements of kind Sequence, want Tensor"},
		{msg(3), opt, "data_type is undefined"},
		{append(msg(3), msg(5)...), opt, "values of two kinds"},
		{msg(5), opt, "a value of kind Sequence, want Tensor"},
		{nil, m, "keys of type undefined, want int64 or string"},
		{text(t, &onnxpb.MapProto{}, `key_type: 7 keys: 1`), m, "1 keys and 0 values"},
		{text(t, &onnxpb.MapProto{}, `key_type: 7 string_keys: "a"`), m, "keys of type int64, want"},
		{text(t, &onnxpb.MapProto{}, `key_type: 7 keys: 1 values { tensor_values { } }`), m, "values: element 0"},
		{text(t, &onnxpb.MapProto{}, `key_type: 7 keys: 1 values { tensor_values { dims: 2 data_type: 1 float_data: 1 float_data: 2 } }`), m, "value 0 of a map is float32 [2], want a float32 scalar"},
		{deep, deepType, "depth of values in values is 65, limit is 64"},
	} {
		_, err := onnx.DecodeValue(c.data, c.t)
		require.ErrorContains(t, err, c.want)
	}
}
