package train

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Scales of weights in blocks are trained where they are named, and not along with what else a pattern names.
func TestBlockScales(t *testing.T) {
	const n, k, rows = 4, 32, 8
	f32 := func(x *tensor.Tensor) *tensor.Tensor {
		v := make([]float32, x.Len())
		for i, e := range tensor.Data[float64](x) {
			v[i] = float32(e)
		}
		return tensor.Of(v, x.Shape()...)
	}
	model := func() *onnx.Model {
		m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 20, "com.microsoft": 1}}
		m.Graph = onnx.NewGraph("g", m.Opsets)
		x := m.Graph.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(k)))
		codes := make([]uint8, n*k/2)
		for i := range codes {
			codes[i] = byte(i * 37)
		}
		scales := f32(optest.Between(2, 0.05, 0.1, n, 2))
		b := ops.NewBuilder(m.Graph)
		y := b.Ops("com.microsoft", "MatMulNBits", onnx.NewAttrs("K", k, "N", n, "block_size", 16, "accuracy_level", 4), 1,
			x, m.Graph.NewConst("layer.codes", tensor.Of(codes, n, 2, 8)), m.Graph.NewConst("layer.scales", scales), nil, nil, m.Graph.NewConst("layer.bias", tensor.New(tensor.Float32, n)))[0]
		require.NoError(t, b.Err())
		b.Insert(nil)
		y.Name = "y"
		m.Graph.Outputs = []*onnx.Value{y}
		return m
	}
	open := func(only ...string) (*Trainer, error) {
		return New(model(), Config{Loss: MSE{}, Optimizer: SGD{LR: 0.002}, Only: only, Threads: 1})
	}
	for _, only := range [][]string{nil, {"layer.*"}, {"*"}} {
		tr, err := open(only...)
		require.NoError(t, err)
		require.Equal(t, []string{"layer.bias"}, tr.Names())
		tr.Close()
	}
	_, err := open("*codes")
	require.ErrorContains(t, err, `pattern "*codes" is no parameter's name`)

	tr, err := open("*.scales", "layer.bias")
	require.NoError(t, err)
	defer tr.Close()
	require.ElementsMatch(t, []string{"layer.bias", "layer.scales"}, tr.Names())
	batch := map[string]*tensor.Tensor{"x": f32(optest.Normal(1, rows, k)), "target": f32(optest.Normal(3, rows, n))}
	var first, last float64
	for i := range 60 {
		if last, err = tr.Step(context.Background(), batch); i == 0 {
			first = last
		}
		require.NoError(t, err)
	}
	require.Less(t, last, first*0.8)
	for _, v := range tr.Model().Graph.Consts {
		if v.Name == "layer.scales" {
			require.NotEqual(t, tensor.Data[float32](f32(optest.Between(2, 0.05, 0.1, n, 2))), tensor.Data[float32](v.Const))
			return
		}
	}
	t.Fatal("the model has no scales")
}
