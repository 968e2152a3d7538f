package quantize

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/tensor"
)

func TestOutputError(t *testing.T) {
	var s errorSum
	require.NoError(t, s.add(tensor.Of([]float32{3, 4}, 2), tensor.Of([]float32{3, 4}, 2)))
	e := s.result("y")
	require.True(t, math.IsInf(e.SNR, 1))
	require.Equal(t, OutputError{Name: "y", SNR: e.SNR, Cosine: 1, Elements: 2}, e)

	require.NoError(t, s.add(tensor.Of([]float32{0, 5}, 2), tensor.Of([]float32{0.5, 5}, 2)))
	e = s.result("y")
	require.InDelta(t, 10*math.Log10(50/0.25), e.SNR, 1e-9)
	require.InDelta(t, math.Sqrt(0.25/50), e.RelativeL2, 1e-12)
	require.InDelta(t, 50/math.Sqrt(50*50.25), e.Cosine, 1e-12)
	require.Equal(t, 0.5, e.MaxAbs)

	inf := float32(math.Inf(1))
	var same, other errorSum
	require.NoError(t, same.add(tensor.Of([]float32{inf, 1}, 2), tensor.Of([]float32{inf, 1}, 2)))
	require.True(t, math.IsInf(same.result("").SNR, 1))
	require.NoError(t, other.add(tensor.Of([]float32{1}, 1), tensor.Of([]float32{float32(math.NaN())}, 1)))
	require.True(t, math.IsNaN(other.result("").SNR))
	require.True(t, math.IsNaN(other.result("").MaxAbs))

	var reshaped errorSum // 3, 4 are missing, 1, 2, 2 should not be there
	require.NoError(t, reshaped.add(tensor.Of([]float32{5}, 1), tensor.Of([]float32{5}, 1)))
	require.NoError(t, reshaped.add(tensor.Of([]float32{3, 4}, 2), tensor.Of([]float32{1, 2, 2}, 3)))
	e = reshaped.result("y")
	require.InDelta(t, math.Sqrt(34./50), e.RelativeL2, 1e-12)
	require.Equal(t, []any{4.0, int64(3), 1}, []any{e.MaxAbs, e.Elements, e.Reshaped})
	var none errorSum
	require.NoError(t, none.add(tensor.Of([]float32{}, 0, 4), tensor.Of([]float32{1, 2, 2, 1}, 1, 4)))
	require.Less(t, none.result("").SNR, 0.0)

	require.Error(t, s.add(tensor.Of([]int64{1}, 1), tensor.Of([]int64{1}, 1)))
}

func TestCorrect(t *testing.T) {
	nan := float32(math.NaN())
	for _, c := range []struct {
		scores *tensor.Tensor
		labels []int
		right  int
	}{
		{tensor.Of([]float32{1, 2, 3, 0, 5, 4}, 2, 3), []int{2, 1}, 2},
		{tensor.Of([]float32{1, 2, 3, 0, 5, 4}, 2, 3), []int{2, 0}, 1},
		{tensor.Of([]float32{nan, 2, 1, nan}, 2, 2), []int{1, 0}, 0},
		{tensor.Of([]float32{-1, 2, nan}, 3, 1), []int{0, 1, 0}, 2},
		{tensor.Of([]float32{-1, 2}, 2), []int{1, 1}, 1},
		{tensor.Of([]float32{}, 0, 3), nil, 0},
	} {
		right, rows, err := Correct(c.scores, c.labels)
		require.NoError(t, err)
		require.Equal(t, c.right, right, c)
		require.Equal(t, len(c.labels), rows)
	}
	_, _, err := Correct(tensor.Of([]float32{1, 2}, 1, 2), []int{2})
	require.ErrorContains(t, err, "label 2 of row 0")
	_, _, err = Correct(tensor.Of([]float32{1, 2}, 1, 2), []int{0, 1})
	require.ErrorContains(t, err, "2 labels")
}
