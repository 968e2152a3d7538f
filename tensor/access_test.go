package tensor

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPacked(t *testing.T) {
	p, err := Pack(Int4, Of([]int8{1, -1, 7}))
	require.NoError(t, err)
	require.Equal(t, []byte{0xf1, 0x07}, p.Bytes())
	p, err = Pack(Uint2, Of([]uint8{1, 2, 3, 0, 3}))
	require.NoError(t, err)
	require.Equal(t, []byte{0x39, 0x03}, p.Bytes())
	_, err = Pack(Int8, Of([]int8{1}))
	require.ErrorContains(t, err, "int8 is not a packed type")
	_, err = Pack(Int4, Of([]int32{1}))
	require.ErrorContains(t, err, "packing int32, want int8 or uint8")
	require.Panics(t, func() { p.PackedCode(5) })
	require.Panics(t, func() { Of([]int8{1}).SetPackedCode(0, 1) })
	plain := Of([]int32{1})
	require.Same(t, plain, Unpack(plain))

	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom([]DType{Int4, Uint4, Int2, Uint2, Float4E2M1}).Draw(t, "type")
		bits := d.Bits()
		var in *Tensor
		if d.IsSigned() {
			in = Of(rapid.SliceOf(rapid.Int8Range(-1<<(bits-1), 1<<(bits-1)-1)).Draw(t, "values"))
		} else {
			in = Of(rapid.SliceOf(rapid.Uint8Range(0, 1<<bits-1)).Draw(t, "values"))
		}
		p, err := Pack(d, in)
		require.NoError(t, err)
		require.NoError(t, Compare(Unpack(p), in, Tolerance{}))
		q := New(d, in.Len())
		for i := range in.Len() {
			code := in.Bytes()[i] & (1<<bits - 1)
			require.Equal(t, code, p.PackedCode(i))
			q.SetPackedCode(i, 0xff)
			q.SetPackedCode(i, code)
		}
		require.Equal(t, p.Bytes(), q.Bytes())
	})
}

func TestAt(t *testing.T) {
	i4, err := Pack(Int4, Of([]int8{1, -8}))
	require.NoError(t, err)
	u2, err := Pack(Uint2, Of([]uint8{1, 3}))
	require.NoError(t, err)
	f4, err := Pack(Float4E2M1, Of([]uint8{1, 15}))
	require.NoError(t, err)
	for _, c := range []struct {
		t      *Tensor
		at     any // element 1
		floats []float64
		ints   []int64
	}{
		{Of([]float32{1, 2.5}), float32(2.5), []float64{1, 2.5}, nil},
		{Of([]float64{1, 2.5}), 2.5, []float64{1, 2.5}, nil},
		{Of([]F16{0x3c00, 0x4100}), float32(2.5), []float64{1, 2.5}, nil},
		{Of([]BF16{0x3f80, 0x4020}), float32(2.5), []float64{1, 2.5}, nil},
		{Of([]F8E5M2{0x3c, 0x41}), float32(2.5), []float64{1, 2.5}, nil},
		{f4, float32(-6), []float64{0.5, -6}, nil},
		{Of([]int8{1, -2}), int64(-2), []float64{1, -2}, []int64{1, -2}},
		{Of([]int16{1, -2}), int64(-2), []float64{1, -2}, []int64{1, -2}},
		{Of([]int32{1, -2}), int64(-2), []float64{1, -2}, []int64{1, -2}},
		{Of([]int64{1, -2}), int64(-2), []float64{1, -2}, []int64{1, -2}},
		{i4, int64(-8), []float64{1, -8}, []int64{1, -8}},
		{Of([]uint8{1, 200}), uint64(200), []float64{1, 200}, []int64{1, 200}},
		{Of([]uint16{1, 200}), uint64(200), []float64{1, 200}, []int64{1, 200}},
		{Of([]uint32{1, 200}), uint64(200), []float64{1, 200}, []int64{1, 200}},
		{Of([]uint64{1, 200}), uint64(200), []float64{1, 200}, []int64{1, 200}},
		{Of([]uint64{1, 1 << 63}), uint64(1 << 63), []float64{1, 1 << 63}, nil},
		{u2, uint64(3), []float64{1, 3}, []int64{1, 3}},
		{Of([]bool{false, true}), true, []float64{0, 1}, []int64{0, 1}},
		{Of([]string{"", "x"}), "x", nil, nil},
		{Of([]complex64{0, 1i}), complex64(1i), nil, nil},
		{Of([]complex128{0, 1i}), 1i, nil, nil},
	} {
		require.Equal(t, c.at, c.t.At(1), "%v", c.t)
		f, err := Float64s(c.t)
		require.Equal(t, c.floats == nil, err != nil, "%v", c.t)
		require.Equal(t, c.floats, f, "%v", c.t)
		n, err := Int64s(c.t)
		require.Equal(t, c.ints == nil, err != nil, "%v", c.t)
		require.Equal(t, c.ints, n, "%v", c.t)
	}
	require.Panics(t, func() { Of([]int8{1}).At(1) })
	f, err := Float64s(Of(make([]F16, 1000)))
	require.NoError(t, err)
	require.Len(t, f, 1000)
	require.False(t, math.Signbit(f[999]))
}
