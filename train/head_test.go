package train

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/train/nn"
)

func TestReplaceHead(t *testing.T) {
	// A pretrained body, fine-tuned with a new head while the body is frozen.
	body := perceptron(t, nn.Linear{Out: 16}, nn.Tanh, nn.Linear{Out: 5}, nn.Softmax)
	require.NoError(t, ReplaceHead(body, "y", 1, 1))
	require.Equal(t, []int{1, 16}, body.Graph.Consts[2].Const.Shape())
	require.Equal(t, "float32[batch,1]", body.Graph.Outputs[0].Type.String())

	m := perceptron(t, nn.Linear{Out: 32}, nn.Tanh, nn.Linear{Out: 5})
	require.NoError(t, ReplaceHead(m, "", 1, 1))
	tr, err := New(m, Config{Loss: BCEWithLogits{}, Optimizer: Adam{LR: 0.1}, Freeze: []string{"net.0.*"}, Threads: 1})
	require.NoError(t, err)
	defer tr.Close()
	require.Equal(t, []string{"net.2.weight", "net.2.bias"}, tr.Names())
	loss := 0.0
	for range 300 {
		loss, err = tr.Step(context.Background(), xor())
		require.NoError(t, err)
	}
	require.Less(t, loss, 0.2)
	require.Equal(t, m.Graph.Consts[0].Const.Bytes(), tr.Model().Graph.Consts[0].Const.Bytes(), "a frozen weight changed")

	// MatMul and Add, over a sequence.
	seq, err := nn.Build(1, []nn.Input{nn.Floats("x", 3, 4)}, func(s *nn.Scope, in []*onnx.Value) []nn.Output {
		w, b := s.Param("w", nn.Ones, 4, 6), s.Param("b", nn.Zeros, 6)
		return []nn.Output{{Name: "y", Value: s.Op("Add", nil, s.Op("MatMul", nil, in[0], w), b)}}
	})
	require.NoError(t, err)
	require.NoError(t, ReplaceHead(seq, "", 2, 1))
	require.Equal(t, "float32[batch,3,2]", seq.Graph.Outputs[0].Type.String())

	require.ErrorContains(t, ReplaceHead(seq, "z", 2, 1), `no output "z"`)
	require.ErrorContains(t, ReplaceHead(seq, "", 0, 1), "0 classes")
	conv, err := nn.Build(1, []nn.Input{nn.Floats("x", 3, 4, 4)}, func(s *nn.Scope, in []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "y", Value: nn.Conv{Out: 2, Kernel: 3}.Forward(s, in[0])}}
	})
	require.NoError(t, err)
	require.ErrorContains(t, ReplaceHead(conv, "", 2, 1), "Conv")
}
