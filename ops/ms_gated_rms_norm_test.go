package ops_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// TestGatedRMSNorm normalizes two groups of four in each row.
func TestGatedRMSNorm(t *testing.T) {
	const n, eps = 4, 0.01
	shape := []int{2, 3, 2 * n}
	x, scale, gate := wave(48, 1), wave(n, 2), wave(48, 3)
	for _, act := range []string{"silu", "sigmoid"} {
		want := make([]float32, len(x))
		for i := range x {
			square := 0.0
			for _, v := range x[i/n*n:][:n] {
				square += float64(v) * float64(v)
			}
			f := sigm(float64(gate[i]))
			if act == "silu" {
				f *= float64(gate[i])
			}
			want[i] = float32(float64(x[i]) / math.Sqrt(square/n+eps) * float64(scale[i%n]) * f)
		}
		got, err := expanded(t, "GatedRMSNorm", onnx.NewAttrs("activation", act, "epsilon", eps), Vals(F32(shape, x...), F32([]int{n}, scale...), F32(shape, gate...)), 1)
		require.NoError(t, err)
		require.Nil(t, tensor.Compare(got[0], F32(shape, want...), close5))
	}
	_, err := expanded(t, "GatedRMSNorm", onnx.NewAttrs("activation", "relu"), Vals(F32(shape, x...), F32([]int{n}, scale...), F32(shape, gate...)), 1)
	require.ErrorContains(t, err, "relu")
}
