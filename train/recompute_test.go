package train

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
)

// deep is a network with all that recomputing must take care of: dropout, residuals,
// attention with a mask that all layers share; or statistics of batches.
func deep(t *testing.T, images bool) (*onnx.Model, map[string]*tensor.Tensor) {
	t.Helper()
	r := rand.New(rand.NewPCG(3, 3))
	in, x := nn.Ints("x", 32), tensor.New(tensor.Int64, 4, 32)
	var layer nn.Layer = nn.BERT{Transformer: nn.Transformer{Vocab: 50, Max: 32, Dim: 32, Layers: 8, Heads: 2, Dropout: 0.2, Masked: true}, Classes: 3}
	if images {
		in, x = nn.Floats("x", 3, 16, 16), tensor.New(tensor.Float32, 4, 3, 16, 16)
		layer = nn.ResNet{Blocks: []int{2, 2, 2}, Classes: 3, Width: 8, Small: true}
		for i := range tensor.Data[float32](x) {
			tensor.Data[float32](x)[i] = float32(r.NormFloat64())
		}
	} else {
		for i := range tensor.Data[int64](x) {
			tensor.Data[int64](x)[i] = r.Int64N(50)
		}
	}
	m, err := nn.Build(1, []nn.Input{in}, func(s *nn.Scope, v []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "y", Value: s.Apply("net", layer, v[0])}}
	})
	require.NoError(t, err)
	return m, map[string]*tensor.Tensor{"x": x, "target": tensor.Of([]int64{0, 1, 2, 1}, 4)}
}

func stepsOf(t *testing.T, m *onnx.Model, cfg Config, batch map[string]*tensor.Tensor) *Trainer {
	t.Helper()
	cfg.Loss, cfg.Optimizer, cfg.Seed = CrossEntropy{}, Adam{LR: 1e-3}, 5
	tr, err := New(m, cfg)
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	for range 4 {
		_, err := tr.Step(context.Background(), batch)
		require.NoError(t, err)
	}
	return tr
}

// least is the smallest MaxMemory, to an eighth, that a step gets by with.
func least(t *testing.T, m *onnx.Model, r *Recompute, batch map[string]*tensor.Tensor) int64 {
	t.Helper()
	return leastOf(t, m, Config{Recompute: r}, batch)
}

// leastOf is least with a configuration, whose loss and optimizer are set.
func leastOf(t *testing.T, m *onnx.Model, cfg Config, batch map[string]*tensor.Tensor) int64 {
	t.Helper()
	cfg.Loss, cfg.Optimizer, cfg.Threads = CrossEntropy{}, Adam{LR: 1e-3}, 1
	low, high := int64(1)<<14, int64(1)<<26
	for high > low+low/8 {
		mid := (low + high) / 2
		cfg.MaxMemory = mid
		tr, err := New(m, cfg)
		require.NoError(t, err)
		_, err = tr.Step(context.Background(), batch)
		tr.Close()
		if err != nil {
			require.ErrorContains(t, err, "memory")
			low = mid
		} else {
			high = mid
		}
	}
	return high
}

// Recomputing changes no bit, and steps take less memory.
func TestRecompute(t *testing.T) {
	for _, images := range []bool{false, true} {
		m, batch := deep(t, images)
		patterns := []string{"*Attention*", "*"}
		if images {
			patterns = []string{"Relu*", "*"}
		}
		plain, lean := least(t, m, nil, batch), least(t, m, &Recompute{Auto: true}, batch)
		t.Logf("images %v: %d bytes, recomputing %d", images, plain, lean)
		require.Less(t, float64(lean), 0.75*float64(plain))

		for _, accumulate := range []int{1, 2} {
			want := stepsOf(t, m, Config{Threads: 1, Accumulate: accumulate}, batch)
			for _, r := range []*Recompute{{Auto: true}, {Patterns: patterns}} {
				got := stepsOf(t, m, Config{Threads: 2, Accumulate: accumulate, Recompute: r}, batch)
				require.NotEmpty(t, got.state)
				for name, x := range want.state {
					require.Equal(t, x.Bytes(), got.state[name].Bytes(), name)
				}
			}
		}
	}
}

func TestRecomputeErrors(t *testing.T) {
	m, batch := deep(t, false)
	cfg := Config{Loss: CrossEntropy{}, Optimizer: Adam{LR: 1e-3}, Recompute: &Recompute{}}
	_, err := New(m, cfg)
	require.ErrorContains(t, err, "Auto false and 0 patterns")
	cfg.Recompute = &Recompute{Patterns: []string{"layer9.*"}}
	_, err = New(m, cfg)
	require.ErrorContains(t, err, `pattern "layer9.*" is no node's name`)

	// The node with a result that is not finite is still found.
	cfg.Recompute = &Recompute{Auto: true}
	tr, err := New(m, cfg)
	require.NoError(t, err)
	defer tr.Close()
	for _, name := range tr.Names() {
		if x := tr.state[name]; x.Rank() == 2 {
			tensor.Data[float32](x)[0] = float32(1e38)
			tensor.Data[float32](x)[1] = float32(1e38)
		}
	}
	_, err = tr.Step(context.Background(), batch)
	require.ErrorContains(t, err, "the first node with values that are not finite is")
}
