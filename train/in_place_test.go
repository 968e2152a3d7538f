package train

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
)

// endsAfter is a context that ends when it has been asked n times.
type endsAfter struct {
	context.Context
	n int
}

func (c *endsAfter) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

func inPlaceTrainer(t *testing.T, cfg Config) (*Trainer, map[string]*tensor.Tensor) {
	t.Helper()
	m, err := nn.Build(1, []nn.Input{nn.Floats("x", 6)}, func(s *nn.Scope, v []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "y", Value: s.Apply("net", nn.MLP{Hidden: []int{5, 4}, Out: 3}, v[0])}}
	})
	require.NoError(t, err)
	cfg.Loss, cfg.Threads = CrossEntropy{}, 1
	tr, err := New(m, cfg)
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	x, y := tensor.New(tensor.Float32, 4, 6), tensor.New(tensor.Int64, 4)
	for i := range tensor.Data[float32](x) {
		tensor.Data[float32](x)[i] = float32(i%5) - 2
	}
	return tr, map[string]*tensor.Tensor{"x": x, "target": y}
}

func copyState(t *Trainer) map[string][]byte {
	out := map[string][]byte{}
	for name, x := range t.state {
		out[name] = append([]byte(nil), x.Bytes()...)
	}
	return out
}

// Wherever a context ends, a step has been whole or has not been at all.
func TestStepIsWhole(t *testing.T) {
	for _, o := range []Optimizer{Adam{LR: 0.1}, SGD{LR: 0.1, Momentum: 0.9}, Lion{LR: 0.1, WeightDecay: 0.1}, LAMB{LR: 0.1}} {
		for _, accumulate := range []int{1, 2} {
			cfg := Config{Optimizer: o, EMA: 0.5, Accumulate: accumulate}
			tr, batch := inPlaceTrainer(t, cfg)
			twin, _ := inPlaceTrainer(t, cfg)
			cancelled := 0
			for n := 0; ; n++ {
				before := copyState(tr)
				_, err := tr.Step(&endsAfter{context.Background(), n}, batch)
				if err == nil {
					_, err := twin.Step(context.Background(), batch)
					require.NoError(t, err)
					require.Equal(t, copyState(twin), copyState(tr))
					if twin.Steps() == 4 {
						break
					}
					n = -1
					continue
				}
				require.ErrorIs(t, err, context.Canceled)
				require.NotErrorIs(t, err, ErrTorn)
				require.Equal(t, before, copyState(tr))
				cancelled++
			}
			require.Greater(t, cancelled, 20)
		}
	}
}

// A step that fails when it has begun to update says so until Resume.
func TestTorn(t *testing.T) {
	tr, batch := inPlaceTrainer(t, Config{Optimizer: Adam{LR: 0.1}})
	path := t.TempDir() + "/a.safetensors"
	require.NoError(t, tr.Save(path))
	before := copyState(tr)
	cause := errors.New("cause")
	require.ErrorIs(t, tr.tear(cause), cause)
	ctx := context.Background()
	_, err := tr.Step(ctx, batch)
	require.ErrorIs(t, err, ErrTorn)
	require.ErrorIs(t, tr.Save(path), ErrTorn)
	_, err = tr.Evaluate(ctx, batch)
	require.ErrorIs(t, err, ErrTorn)
	_, err = tr.Export(ctx, ExportOptions{})
	require.ErrorIs(t, err, ErrTorn)
	require.NoError(t, tr.Resume(path))
	require.Equal(t, before, copyState(tr))
	_, err = tr.Step(ctx, batch)
	require.NoError(t, err)
}

// The update of every parameter and memory is computed where it was.
func TestStateIsThereOnce(t *testing.T) {
	tr, batch := inPlaceTrainer(t, Config{Optimizer: Adam{LR: 0.1}})
	require.Empty(t, tr.next)
	for _, v := range tr.model.Graph.Consts {
		if x := tr.state[v.Name]; x != nil {
			require.Same(t, x, v.Const)
		}
	}
	for range 3 {
		before := map[string]*tensor.Tensor{}
		for name, x := range tr.state {
			before[name] = x
		}
		_, err := tr.Step(context.Background(), batch)
		require.NoError(t, err)
		require.Equal(t, before, tr.state)
	}
	// Without room for a second set a step still works.
	m, err := nn.Build(1, []nn.Input{nn.Floats("x", 1024)}, func(s *nn.Scope, v []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "y", Value: s.Apply("net", nn.Linear{Out: 1024}, v[0])}}
	})
	require.NoError(t, err)
	const weights = 4 << 20 // bytes
	big, err := New(m, Config{Loss: CrossEntropy{}, Optimizer: Adam{LR: 0.1}, Threads: 1, MaxMemory: weights * 3 / 2})
	require.NoError(t, err)
	defer big.Close()
	_, err = big.Step(context.Background(), map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 2, 1024), "target": tensor.New(tensor.Int64, 2)})
	require.NoError(t, err)
	// And without room for a gradient it fails, with the state as it was.
	small, err := New(m, Config{Loss: CrossEntropy{}, Optimizer: Adam{LR: 0.1}, Threads: 1, MaxMemory: weights / 2})
	require.NoError(t, err)
	defer small.Close()
	before := copyState(small)
	_, err = small.Step(context.Background(), map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 2, 1024), "target": tensor.New(tensor.Int64, 2)})
	require.ErrorIs(t, err, runtime.ErrMemory)
	if !errors.Is(err, ErrTorn) {
		require.Equal(t, before, copyState(small))
	}
}
