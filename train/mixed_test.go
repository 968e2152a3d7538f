package train

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
)

var mixedTypes = []tensor.DType{tensor.BFloat16, tensor.Float16}

// recurrent is a small network of words with an LSTM.
func recurrent(t *testing.T) (*onnx.Model, map[string]*tensor.Tensor) {
	t.Helper()
	m, err := nn.Build(1, []nn.Input{nn.Ints("x", 12)}, func(s *nn.Scope, v []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "y", Value: s.Apply("net", nn.TextRNN{Kind: "LSTM", Vocab: 50, Embedding: 16, Hidden: 24, Classes: 3}, v[0])}}
	})
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(4, 4))
	x := tensor.New(tensor.Int64, 4, 12)
	for i := range tensor.Data[int64](x) {
		tensor.Data[int64](x)[i] = r.Int64N(50)
	}
	return m, map[string]*tensor.Tensor{"x": x, "target": tensor.Of([]int64{0, 1, 2, 1}, 4)}
}

func curve(t *testing.T, tr *Trainer, batch map[string]*tensor.Tensor, steps int) []float64 {
	t.Helper()
	var out []float64
	for range steps {
		loss, err := tr.Step(context.Background(), batch)
		require.NoError(t, err)
		out = append(out, loss)
	}
	return out
}

// In 16 bits networks learn as in float32, to the same bits at any number of threads, with accumulation and
// recomputing too; the operators that pay are in 16 bits forward and backward, and the state is float32.
func TestMixedPrecision(t *testing.T) {
	for name, make := range map[string]func() (*onnx.Model, map[string]*tensor.Tensor){
		"BERT":   func() (*onnx.Model, map[string]*tensor.Tensor) { return deep(t, false) },
		"ResNet": func() (*onnx.Model, map[string]*tensor.Tensor) { return deep(t, true) },
		"LSTM":   func() (*onnx.Model, map[string]*tensor.Tensor) { return recurrent(t) },
	} {
		t.Run(name, func(t *testing.T) {
			m, batch := make()
			trainer := func(cfg Config) *Trainer {
				cfg.Loss, cfg.Optimizer, cfg.Seed = CrossEntropy{}, Adam{LR: 2e-3}, 5
				tr, err := New(m, cfg)
				require.NoError(t, err)
				t.Cleanup(tr.Close)
				return tr
			}
			full := curve(t, trainer(Config{}), batch, 12)
			for _, d := range mixedTypes {
				p := &MixedPrecision{Type: d}
				one := trainer(Config{MixedPrecision: p, Threads: 1})
				got := curve(t, one, batch, 12)
				// Three times what they are here; train/pytorch/compare.py --mixed has torch.autocast's distances.
				bound := map[tensor.DType]float64{tensor.BFloat16: 0.027, tensor.Float16: 0.012}[d]
				for i := range full {
					require.InDelta(t, full[i], got[i], bound, "%v: step %d", d, i+1)
				}
				require.NotEqual(t, full, got)
				require.Zero(t, one.Skipped())
				for name, x := range one.state {
					require.Equal(t, tensor.Float32, x.DType(), name)
				}
				two := trainer(Config{MixedPrecision: p, Threads: 2, Recompute: &Recompute{Auto: true}})
				require.Equal(t, got, curve(t, two, batch, 12))
				require.NotEmpty(t, one.state)
				for name, x := range one.state {
					require.Equal(t, x.Bytes(), two.state[name].Bytes(), name)
				}
				low := 0
				for _, n := range one.plain.Graph.Nodes {
					if _, ok := lowered[n.Op]; ok && n.Domain == "" {
						require.Equal(t, d, n.In[0].Type.DType, "%v", n)
						low++
					}
				}
				require.Greater(t, low, 2)

				// Sums of gradients change nothing of the first loss, which has the same masks of dropout.
				sum := trainer(Config{MixedPrecision: p, Accumulate: 2})
				require.InDelta(t, got[0], curve(t, sum, batch, 4)[0], 1e-5)
				require.Equal(t, 2, sum.Steps())
			}
		})
	}
}

// What is kept for the backward pass takes less memory.
func TestMixedPrecisionMemory(t *testing.T) {
	m, err := nn.Build(1, []nn.Input{nn.Floats("x", 3, 32, 32)}, func(s *nn.Scope, v []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "y", Value: s.Apply("net", nn.ResNet{Blocks: []int{2, 2}, Classes: 3, Width: 16, Small: true}, v[0])}}
	})
	require.NoError(t, err)
	batch := map[string]*tensor.Tensor{"x": tensor.New(tensor.Float32, 4, 3, 32, 32), "target": tensor.Of([]int64{0, 1, 2, 1}, 4)}
	plain := leastOf(t, m, Config{}, batch)
	for _, d := range mixedTypes {
		lean := leastOf(t, m, Config{MixedPrecision: &MixedPrecision{Type: d}}, batch)
		t.Logf("%d bytes, %v %d", plain, d, lean)
		require.Less(t, float64(lean), 0.85*float64(plain), "%v", d)
	}
}

// linear is y = x·W without anything else: its gradients are known.
func linear(t *testing.T, cfg Config) *Trainer {
	t.Helper()
	m, err := nn.Build(1, []nn.Input{nn.Floats("x", 2)}, func(s *nn.Scope, v []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "y", Value: s.Apply("fc", nn.Linear{Out: 1}, v[0])}}
	})
	require.NoError(t, err)
	cfg.Loss, cfg.Optimizer = MSE{}, SGD{LR: 1e-3}
	tr, err := New(m, cfg)
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	return tr
}

// Gradients that overflow skip the step and lower the scale; good steps raise it.
func TestLossScale(t *testing.T) {
	for _, accumulate := range []int{1, 2} {
		tr := linear(t, Config{Accumulate: accumulate, MixedPrecision: &MixedPrecision{Type: tensor.Float16, Scale: LossScale{Initial: 1 << 20, Interval: 3}}})
		batch := map[string]*tensor.Tensor{"x": tensor.Of([]float32{1, 2}, 1, 2), "target": tensor.Of([]float32{5}, 1, 1)}
		before := tr.Model()
		step := func() {
			for range accumulate {
				_, err := tr.Step(context.Background(), batch)
				require.NoError(t, err)
			}
		}
		step()
		require.Equal(t, 1, tr.Skipped())
		require.Equal(t, 0, tr.Steps())
		require.EqualValues(t, 1<<19, tr.LossScale())
		after := tr.Model()
		for i, v := range before.Graph.Consts {
			require.Equal(t, v.Const.Bytes(), after.Graph.Consts[i].Const.Bytes(), v.Name)
		}
		for tr.Steps() == 0 {
			require.Less(t, tr.Skipped(), 20)
			step()
		}
		scale := tr.LossScale()
		step()
		require.Equal(t, scale, tr.LossScale())
		step()
		require.Equal(t, 3, tr.Steps())
		require.Equal(t, 2*scale, tr.LossScale())

		// Through a checkpoint the scale goes on as it was.
		path := filepath.Join(t.TempDir(), "a.safetensors")
		require.NoError(t, tr.Save(path))
		again := linear(t, tr.cfg)
		require.NoError(t, again.Resume(path))
		require.Equal(t, *tr.scaler, *again.scaler)
		for _, p := range []*MixedPrecision{nil, {Type: tensor.BFloat16}} {
			other := linear(t, Config{Accumulate: accumulate, MixedPrecision: p})
			require.ErrorContains(t, other.Resume(path), "it is of a run with float16 with a loss scale, this one has ")
		}
	}
}

// At the least scale, gradients that are not finite are an error that names where.
func TestLossScaleEnds(t *testing.T) {
	huge := map[string]*tensor.Tensor{"x": tensor.Of([]float32{60000, 60000}, 1, 2), "target": tensor.Of([]float32{5000}, 1, 1)}
	for accumulate, want := range map[int]string{1: "the first node with values that are not finite is ", 2: `that of parameter "`} {
		tr := linear(t, Config{Accumulate: accumulate, MixedPrecision: &MixedPrecision{Type: tensor.Float16, Scale: LossScale{Initial: 4}}})
		for _, x := range tr.state {
			clear(x.Bytes())
		}
		var err error
		for i := 0; err == nil; i++ {
			require.Less(t, i, 10)
			_, err = tr.Step(context.Background(), huge)
		}
		require.Equal(t, 2, tr.Skipped())
		require.ErrorContains(t, err, "step 1: gradients are not finite with the loss scale at its least, 1; ")
		require.ErrorContains(t, err, want)
	}
	// A loss that is none is no matter of the scale.
	tr := linear(t, Config{MixedPrecision: &MixedPrecision{Type: tensor.Float16}})
	huge["x"] = tensor.Of([]float32{1e6, 1}, 1, 2)
	_, err := tr.Step(context.Background(), huge)
	require.ErrorContains(t, err, "the first node with values that are not finite is Cast ")
	require.Zero(t, tr.Skipped())
	huge["x"] = tensor.Of([]float32{float32(math.NaN()), 1}, 1, 2)
	_, err = tr.Step(context.Background(), huge)
	require.ErrorContains(t, err, `input "x" has values that are not finite`)
}

func TestMixedPrecisionErrors(t *testing.T) {
	m, _ := deep(t, true)
	for want, p := range map[string]MixedPrecision{
		"Type is float32, want bfloat16 or float16":   {Type: tensor.Float32},
		"Initial is -1 and Min 1":                     {Type: tensor.Float16, Scale: LossScale{Initial: -1}},
		"Initial is 1e+39":                            {Type: tensor.Float16, Scale: LossScale{Initial: 1e39}},
		"Growth is 0.5, want at least 1":              {Type: tensor.Float16, Scale: LossScale{Growth: 0.5}},
		"Backoff is 1, want a number between 0 and 1": {Type: tensor.Float16, Scale: LossScale{Backoff: 1}},
		"Interval is -1, want at least 1":             {Type: tensor.BFloat16, Scale: LossScale{Initial: 2, Interval: -1}},
	} {
		_, err := New(m, Config{Loss: CrossEntropy{}, Optimizer: Adam{LR: 1e-3}, MixedPrecision: &p})
		require.ErrorContains(t, err, want)
	}
}
