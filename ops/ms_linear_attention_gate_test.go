package ops_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestLinearAttentionGate(t *testing.T) {
	a, bias, scale, b := wave(2*3*4, 1), wave(4, 2), wave(4, 3), wave(2*3*4, 4)
	decay, beta := make([]float32, len(a)), make([]float32, len(a))
	for i := range a {
		decay[i] = float32(float64(scale[i%4]) * math.Log1p(math.Exp(float64(a[i])+float64(bias[i%4]))))
		beta[i] = float32(sigm(float64(b[i])))
	}
	shape := []int{2, 3, 4}
	got, err := expanded(t, "LinearAttentionGate", nil, Vals(F32(shape, a...), F32([]int{4}, bias...), F32([]int{4}, scale...), F32(shape, b...)), 2)
	require.NoError(t, err)
	require.Nil(t, tensor.Compare(got[0], F32(shape, decay...), close5))
	require.Nil(t, tensor.Compare(got[1], F32(shape, beta...), close5))
	half := Of([]int{1, 1, 1}, tensor.F16Of(1)) // the sum is made in float32
	got, err = expanded(t, "LinearAttentionGate", nil, Vals(half, F32([]int{1}, 1e-4), F32([]int{1}, 1000)), 1)
	require.NoError(t, err)
	require.Nil(t, tensor.Compare(got[0], Of([]int{1, 1, 1}, tensor.F16Of(float32(1000*math.Log1p(math.Exp(1.0001))))), tensor.Tolerance{}))
	_, err = expanded(t, "LinearAttentionGate", nil, Vals(half, F32([]int{1}, 1), F32([]int{1}, 1)), 2)
	require.ErrorContains(t, err, "b is absent")
}
