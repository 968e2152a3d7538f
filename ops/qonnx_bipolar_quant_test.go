package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestBipolarQuantOfQONNX(t *testing.T) {
	got, _, err := expandedQONNX("BipolarQuant", 13, 1, nil, true, F32([]int{2, 3}, -9, -0.25, 0, 0.7, 5, -1), F32([]int{2, 1}, 0.5, 3))
	require.NoError(t, err)
	require.Nil(t, tensor.Compare(got, F32([]int{2, 3}, -0.5, -0.5, 0.5, 3, 3, -3), tensor.Tolerance{}))
	_, _, err = expandedQONNX("BipolarQuant", 13, 1, nil, true, I64([]int{1}, 1), number(1))
	require.ErrorContains(t, err, "want floats")
}
