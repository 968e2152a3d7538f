package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestQEmbedLayerNormalization(t *testing.T) {
	s, z := F32([]int{}, 0.5), Of([]int{}, uint8(10))
	in := Vals(I32([]int{1, 2}, 1, 0), nil, Of([]int{2, 2}, uint8(10), 14, 16, 10), Of([]int{2, 2}, uint8(10), 10, 12, 10), nil,
		Of([]int{2}, uint8(12), 14), Of([]int{2}, uint8(10), 12), I32([]int{1, 2}, 1, 0), s, s, nil, s, s, z, z, nil, z, z)
	// Sums are (3, 0) and (1, 2), whose normalized values are 1 and -1 in turn;
	// gamma is (1, 2), beta (0, 1).
	got, err := expanded(t, "QEmbedLayerNormalization", nil, in, 2)
	require.NoError(t, err)
	require.Nil(t, tensor.Compare(got[0], F32([]int{1, 2, 2}, 1, -1, -1, 3), close5))
	require.Nil(t, tensor.Compare(got[1], I32([]int{1}, 1), close5))
	_, err = expanded(t, "QEmbedLayerNormalization", onnx.NewAttrs(), append(append([]tensor.Value{}, in[:8]...), nil, s, nil, s, s, z, z, nil, z, z), 2)
	require.ErrorContains(t, err, "input 8 is absent")
}
