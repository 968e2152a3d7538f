package tensor

import (
	"math"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestCountAndByteSize(t *testing.T) {
	for _, c := range []struct {
		d           DType
		shape       []int
		count, size int
		err         bool
	}{
		{Float32, nil, 1, 4, false},
		{Float32, []int{2, 3}, 6, 24, false},
		{Int4, []int{3}, 3, 2, false},
		{Uint2, []int{5}, 5, 2, false},
		{String, []int{2}, 2, 32, false},
		{Float64, []int{0, 7}, 0, 0, false},
		{Float64, []int{0, math.MaxInt, math.MaxInt}, 0, 0, true}, // strides would overflow
		{Float64, []int{-1}, 0, 0, true},
		{Float64, []int{math.MaxInt, 2}, 0, 0, true},
		{Float64, []int{math.MaxInt}, math.MaxInt, 0, true},
		{Undefined, []int{1}, 1, 0, true},
		{NumDTypes, []int{1}, 1, 0, true},
	} {
		n, err := Count(c.shape)
		if err == nil {
			require.Equal(t, c.count, n)
		}
		size, err := ByteSize(c.d, c.shape)
		require.Equal(t, c.err, err != nil, "%v %v", c.d, c.shape)
		require.Equal(t, c.size, size)
		if c.err {
			require.ErrorIs(t, err, ErrSize)
			require.Panics(t, func() { New(c.d, c.shape...) })
		}
	}
}

func TestTensor(t *testing.T) {
	x := New(Float32, 2, 3)
	require.Zero(t, uintptr(unsafe.Pointer(&x.Bytes()[0]))%Alignment)
	require.Equal(t, []int{2, 3}, x.Shape())
	require.Equal(t, 2, x.Rank())
	require.Equal(t, 3, x.Dim(-1))
	require.Equal(t, 2, x.Dim(0))
	Data[float32](x)[5] = 7
	y, err := x.Reshape(3, 2)
	require.NoError(t, err)
	require.Equal(t, float32(7), y.At(5))
	c := x.Clone()
	Data[float32](x)[5] = 8
	require.Equal(t, float32(7), c.At(5))
	require.Equal(t, float32(8), y.At(5))
	require.NoError(t, c.CopyFrom(x))
	require.Equal(t, float32(8), c.At(5))
	require.Error(t, c.CopyFrom(y))
	_, err = x.Reshape(4)
	require.ErrorContains(t, err, "shape [4] has 4 elements, want 6 as in [2 3]")
	_, err = x.Reshape(-1)
	require.ErrorIs(t, err, ErrSize)
	require.Panics(t, func() { Data[int32](x) })
	require.Panics(t, func() { Of([]int8{1, 2}, 3) })
	require.Equal(t, []string{"a"}, Data[string](Of([]string{"a"}).Clone()))
}

func TestFromBytes(t *testing.T) {
	buf := AlignedBytes(13)
	copy(buf[1:], []byte{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0})
	x, err := FromBytes(Uint32, []int{3}, buf[1:], nil) // at an odd address
	require.NoError(t, err)
	if nativeLittle {
		require.Equal(t, []uint32{1, 2, 3}, Data[uint32](x))
	}
	_, err = FromBytes(Uint32, []int{4}, buf[1:], nil)
	require.ErrorContains(t, err, "12 bytes for uint32 [4], want 16")
	_, err = FromBytes(String, []int{1}, buf, nil)
	require.Error(t, err)
	_, err = FromBytes(Uint32, []int{-4}, buf, nil)
	require.ErrorIs(t, err, ErrSize)
	raw := []byte{0, 2, 1}
	b, err := FromBytes(Bool, []int{3}, raw, nil)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 1, 1}, b.Bytes())
	require.Equal(t, []byte{0, 2, 1}, raw)
}

func TestShapes(t *testing.T) {
	require.Equal(t, []int{12, 4, 1}, Strides([]int{2, 3, 4}))
	out, err := Broadcast([]int{2, 1, 4}, []int{3, 1}, nil)
	require.NoError(t, err)
	require.Equal(t, []int{2, 3, 4}, out)
	_, err = Broadcast([]int{2}, []int{3})
	require.ErrorContains(t, err, "2 against 3 in dimension 0")
	require.Equal(t, []int{0, 1, 0}, BroadcastStrides([]int{3, 1}, []int{2, 3, 4}))
	i, err := Axis(-1, 3)
	require.NoError(t, err)
	require.Equal(t, 2, i)
	_, err = Axis(3, 3)
	require.EqualError(t, err, "axis 3 is not in [-3, 2]")
}

func TestDTypes(t *testing.T) {
	for d := DType(1); d < NumDTypes; d++ {
		require.True(t, d.Valid())
		kinds := 0
		for _, is := range []bool{d.IsFloat(), d.IsInt(), d.IsComplex(), d == Bool, d == String} {
			if is {
				kinds++
			}
		}
		require.Equal(t, 1, kinds, "%v", d)
		require.Equal(t, d.Size() == 0 && d != String, d.IsPacked(), "%v", d)
	}
	require.Equal(t, "DType(99)", DType(99).String())
	require.Zero(t, DType(99).Bits())
	for _, c := range []struct {
		got, want DType
	}{{DTypeOf[float32](), Float32}, {DTypeOf[string](), String}, {DTypeOf[F8E8M0](), Float8E8M0}, {DTypeOf[F8E5M2FNUZ](), Float8E5M2FNUZ},
		{DTypeOf[F8E4M3FNUZ](), Float8E4M3FNUZ}, {DTypeOf[F8E4M3FN](), Float8E4M3FN}, {DTypeOf[F8E5M2](), Float8E5M2}} {
		require.Equal(t, c.want, c.got)
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		t    *Tensor
		want string
	}{
		{Scalar[float32](0.1), "0.1"},
		{New(Int8, 0, 2), "[]"},
		{Of([]string{"a", "b\n"}), `[  "a" "b\n"]`},
		{Of([]complex64{1 + 2i}), "[(1+2i)]"},
		{Of([]complex128{1 - 2i}), "[(1-2i)]"},
		{Of([]float64{1.0 / 3, math.NaN(), math.Inf(-1)}), "[0.33333333        NaN       -Inf]"},
		{Of([]bool{true, false}), "[ true false]"},
		{Of([]uint8{1, 2, 3, 4, 5, 6, 7, 8}, 2, 2, 2), "[[[1 2]\n  [3 4]]\n\n [[5 6]\n  [7 8]]]"},
	} {
		require.Equal(t, c.want, c.t.Format(100))
	}
	require.Equal(t, "[0 0 0 ... 0 0 0]", New(Int64, 1000).Format(10))
	for want, v := range map[string]Value{
		"optional(none)": &Optional{}, "optional(int8 [1])": &Optional{Of([]int8{1})}, "sequence of 0": &Sequence{},
		"map of 1 (int64 to float32)":        &Map{Of([]int64{1}), Of([]float32{1})},
		"sparse float32 [3 3] with 1 values": &Sparse{Of([]float32{1}), Of([]int64{1}), []int{3, 3}},
	} {
		require.Equal(t, want, v.String())
	}
}

func TestRows(t *testing.T) {
	rows := Rows([]string{"a", "b", "c", "d"}, 2)
	require.Len(t, rows, 2)
	require.Equal(t, []string{"c", "d"}, Data[string](&rows[1]))
	data := []int64{1, 2, 3, 4, 5, 6}
	ints := Rows(data, 3)
	require.Equal(t, []int{2}, ints[2].Shape())
	require.Equal(t, []int64{3, 4}, Data[int64](&ints[1]))
	data[2] = 7
	require.Equal(t, []int64{7, 4}, Data[int64](&ints[1]), "no copy")
	require.Len(t, Rows([]float32{}, 4), 4)
	require.Empty(t, Rows([]float32{}, 0))
	require.Panics(t, func() { Rows(data, 4) })
	require.Panics(t, func() { Rows(data, 0) })
}

func TestCloneAll(t *testing.T) {
	a, b, c := Of([]float32{1, 2, 3}), Of([]string{"x"}), New(Int4, 3, 3)
	empty := New(Int8, 0, 4)
	copies := CloneAll([]*Tensor{a, b, empty, c})
	Data[float32](a)[0], Data[string](b)[0] = 9, "y"
	require.Equal(t, []float32{1, 2, 3}, Data[float32](&copies[0]))
	require.Equal(t, []string{"x"}, Data[string](&copies[1]))
	require.Equal(t, []int{0, 4}, copies[2].Shape())
	require.Equal(t, []int{3, 3}, copies[3].Shape())
	require.Equal(t, c.Bytes(), copies[3].Bytes())
	require.NoError(t, copies[3].CopyFrom(c))
	require.Empty(t, CloneAll(nil))
}
