package prune

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// A mask for all channels is computed in the pruned model as it was, though it is a constant;
// one whose channels go with those of the layer is not, nor is a result of a few bytes.
func TestStructuredComputed(t *testing.T) {
	b := newNet(17)
	x := b.conv(b.g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Sizes(1, 3, 48, 48)...)), 3, 16, 1, 1, odd)
	filled := func(value float32, shape ...int) *onnx.Value {
		return b.Op("ConstantOfShape", onnx.NewAttrs("value", tensor.Of([]float32{value}, 1)), b.Ints(shape...))
	}
	mask := b.Op("Add", nil, filled(1, 1, 1, 48, 48), b.Op("CumSum", nil, filled(2, 1, 1, 48, 48), b.Const(tensor.Scalar[int64](2))))
	x = b.Op("Mul", nil, b.Op("Mul", nil, x, mask), b.Op("Neg", nil, mask))
	x = b.Op("Mul", nil, x, filled(3, 1, 16, 48, 48))
	x = b.Op("Mul", nil, x, filled(2, 1, 1, 1, 48))
	m := b.finish(t, b.conv(x, 16, 8, 1, 1, nil))
	want := outputs(t, m)
	r, err := Structured(m, Options{Fraction: 0.5, Multiple: 1})
	require.NoError(t, err)
	require.Equal(t, 8, r.Groups[0].Removed)
	for name, v := range outputs(t, m) {
		x := tensor.Data[float32](want[name].(*tensor.Tensor))
		require.True(t, slices.Equal(x, tensor.Data[float32](v.(*tensor.Tensor))), name)
	}
	require.NoError(t, m.Graph.Check())
	require.Empty(t, onnx.Check(m))
	count := map[string]int{}
	for _, n := range m.Graph.Nodes {
		count[n.Op]++
	}
	require.Equal(t, 2, count["ConstantOfShape"], "of the mask")
	require.Equal(t, 1, count["CumSum"], "readers share it")
	require.EqualValues(t, 4*(16*3+16+8*16+8), r.Before.Bytes)
	require.EqualValues(t, 4*(8*3+8+8*8+8+8*48*48+48), r.After.Bytes)
}
