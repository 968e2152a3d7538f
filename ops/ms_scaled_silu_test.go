package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestScaledSiLU(t *testing.T) {
	x := wave(12, 1)
	for _, in := range [][]tensor.Value{Vals(F32([]int{3, 4}, x...)), Vals(F32([]int{3, 4}, x...), F32([]int{}, -0.5))} {
		scale := 1.7
		if len(in) > 1 {
			scale = -0.5
		}
		want := make([]float32, len(x))
		for i, v := range x {
			z := scale * float64(v)
			want[i] = float32(z * sigm(z))
		}
		got, err := expanded(t, "ScaledSiLU", onnx.NewAttrs("alpha", float32(1.7)), in, 1)
		require.NoError(t, err)
		require.Nil(t, tensor.Compare(got[0], F32([]int{3, 4}, want...), close5))
	}
}
