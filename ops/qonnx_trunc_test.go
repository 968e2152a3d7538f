package ops_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestTruncOfQONNX(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		mode := roundingModes[r.IntN(len(roundingModes))]
		from, to := 8+r.IntN(6), 2+r.IntN(6)
		signed, narrow := r.IntN(2) == 0, r.IntN(2) == 0
		scale, zero := math.Exp2(float64(r.IntN(4)-3)), float64(4*r.IntN(3))
		cut := math.Exp2(float64(from - to))
		x := tensor.New(tensor.Float32, 40)
		one, two := tensor.New(tensor.Float32, 40), tensor.New(tensor.Float32, 40)
		lo, hi := rangeOf(to, signed, narrow)
		for i := range 40 {
			q := float64(r.IntN(1<<from) - 1<<(from-1))
			tensor.Data[float32](x)[i] = float32((q - zero) * scale)
			tensor.Data[float32](one)[i] = float32((rounded(mode, q/cut) - zero) * scale)
			tensor.Data[float32](two)[i] = float32((rounded(mode, min(max(q/cut, lo), hi)) - zero/cut) * scale * cut)
		}
		got, _, err := expandedQONNX("Trunc", 13, 1, onnx.NewAttrs("rounding_mode", mode), false, x, number(scale), number(zero), number(float64(from)), number(float64(to)))
		require.NoError(t, err)
		require.Nil(t, tensor.Compare(got, one, tensor.Tolerance{}), mode)
		as := onnx.NewAttrs("rounding_mode", mode, "signed", flag(signed), "narrow", flag(narrow))
		got, _, err = expandedQONNX("Trunc", 18, 2, as, false, x, number(scale), number(zero), number(float64(from)), number(scale*cut), number(float64(to)))
		require.NoError(t, err)
		require.Nil(t, tensor.Compare(got, two, tensor.Tolerance{}), mode)
	}
	x := F32([]int{1}, 1)
	_, _, err := expandedQONNX("Trunc", 18, 2, nil, false, x, F32([]int{2}, 1, 2), number(0), number(8), number(16), number(4))
	require.ErrorIs(t, err, ops.ErrUnsupported)
	_, _, err = expandedQONNX("Trunc", 18, 2, onnx.NewAttrs("rounding_mode", "x"), false, x, number(1), number(0), number(8), number(16), number(4))
	require.ErrorIs(t, err, ops.ErrUnsupported)
	_, _, err = expandedQONNX("Trunc", 18, 1, nil, true, x, number(1), number(0), number(8), number(4))
	require.ErrorIs(t, err, ops.ErrUnsupported)
}
