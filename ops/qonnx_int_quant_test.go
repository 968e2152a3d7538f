package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestIntQuantOfQONNX(t *testing.T) {
	got, names, err := expandedQONNX("IntQuant", 18, 2, onnx.NewAttrs("signed", 1, "narrow", 1), false, F32([]int{5}, -9, -0.25, 0.75, 0.7, 5), number(0.5), number(0), number(4))
	require.NoError(t, err)
	require.Equal(t, "QuantizeLinear Clip DequantizeLinear", names)
	require.Nil(t, tensor.Compare(got, F32([]int{5}, -3.5, 0, 1, 0.5, 3.5), tensor.Tolerance{}))
}
