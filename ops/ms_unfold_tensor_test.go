package ops_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	. "github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestUnfoldTensor(t *testing.T) {
	x := F32([]int{2, 5}, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	for _, c := range []struct {
		attrs onnx.Attrs
		want  tensor.Value
	}{
		{onnx.NewAttrs("size", 3, "step", 2), F32([]int{2, 2, 3}, 0, 1, 2, 2, 3, 4, 5, 6, 7, 7, 8, 9)},
		{onnx.NewAttrs("size", 2, "dim", 0), F32([]int{1, 5, 2}, 0, 5, 1, 6, 2, 7, 3, 8, 4, 9)},
		{onnx.NewAttrs("size", 1, "step", 4, "dim", -1), F32([]int{2, 2, 1}, 0, 4, 5, 9)},
	} {
		got, err := expanded(t, "UnfoldTensor", c.attrs, Vals(x), 1)
		require.NoError(t, err)
		require.Nil(t, tensor.Compare(got[0], c.want, tensor.Tolerance{}))
	}
	_, err := expanded(t, "UnfoldTensor", onnx.NewAttrs("size", 2, "dim", 2), Vals(x), 1)
	require.ErrorContains(t, err, "\"dim\" is 2")
}
