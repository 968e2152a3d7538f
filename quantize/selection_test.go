package quantize

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestSelection(t *testing.T) {
	g := onnx.NewGraph("g", map[string]int{"": 21})
	b := ops.NewBuilder(g)
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(2)))
	r := b.Op("Relu", nil, x)
	y := b.Op("Tanh", nil, r)
	b.Insert(nil)
	r.From.Name, r.Name, y.Name = "conv1/relu", "r", "y"
	relu, tanh := r.From, y.From

	require.Equal(t, "conv1/relu", NodeName(relu))
	require.Equal(t, "y", NodeName(tanh))
	for _, c := range []struct {
		s          Selection
		relu, tanh bool
	}{
		{Selection{}, true, true},
		{Selection{Exclude: []string{"conv1/relu"}}, false, true},
		{Selection{Exclude: []string{"r"}}, false, true},
		{Selection{Include: []string{"y"}}, false, true},
		{Selection{Include: []string{"y"}, Exclude: []string{"y"}}, false, false},
		{Selection{Ops: []string{"Relu"}}, true, false},
	} {
		require.NoError(t, c.s.Check(g))
		ok, why := c.s.Allows(relu)
		require.Equal(t, c.relu, ok)
		require.Equal(t, ok, why == "")
		ok, _ = c.s.Allows(tanh)
		require.Equal(t, c.tanh, ok)
	}
	require.ErrorContains(t, (&Selection{Exclude: []string{"conv1/rleu"}}).Check(g), `no node "conv1/rleu"; did you mean "conv1/relu"?`)
	require.ErrorContains(t, (&Selection{Ops: []string{"MatMul"}}).Check(g), `no "MatMul"`)
	require.Error(t, (&Selection{Exclude: []string{""}}).Check(g))
}
