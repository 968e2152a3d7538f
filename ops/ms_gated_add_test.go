package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestGatedAdd(t *testing.T) {
	x, y, gate := F32([]int{2, 2}, 1, 2, 3, 4), F32([]int{2, 2}, 10, 20, 30, 40), F32([]int{2, 1}, 0.5, -1)
	got, err := expanded(t, "GatedAdd", nil, Vals(x, y, gate), 1)
	require.NoError(t, err)
	require.Nil(t, tensor.Compare(got[0], F32([]int{2, 2}, 6, 12, -27, -36), tensor.Tolerance{}))
	_, err = expanded(t, "GatedAdd", nil, Vals(x, y, gate, F32([]int{1, 1}, 1)), 1)
	require.ErrorContains(t, err, "gate_weight")
}
