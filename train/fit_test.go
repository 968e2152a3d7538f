package train

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
)

// rings are points of two classes, inside and outside of a circle.
func rings(t *testing.T, n int, seed uint64) Arrays {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	x, y := make([]float32, 2*n), make([]int64, n)
	for i := range n {
		a, b := r.Float32()*2-1, r.Float32()*2-1
		x[2*i], x[2*i+1] = a, b
		if a*a+b*b > 0.5 {
			y[i] = 1
		}
	}
	d, err := NewArrays(map[string]*tensor.Tensor{"x": tensor.Of(x, n, 2), "target": tensor.Of(y, n)})
	require.NoError(t, err)
	return d
}

func ringTrainer(t *testing.T, change func(*Config)) *Trainer {
	t.Helper()
	c := Config{Loss: CrossEntropy{}, Optimizer: Adam{LR: 0.03}, Schedule: Cosine{Warmup: 0.1}, Seed: 5, Threads: 1}
	if change != nil {
		change(&c)
	}
	tr, err := New(perceptron(t, nn.Linear{Out: 24}, nn.ReLU, nn.Dropout{P: 0.1}, nn.Linear{Out: 2}), c)
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	return tr
}

func TestFit(t *testing.T) {
	tr := ringTrainer(t, nil)
	steps := 0
	h, err := tr.Fit(context.Background(), FitOptions{
		Train: &Loader{Dataset: rings(t, 600, 1), Shuffle: true}, Validation: &Loader{Dataset: rings(t, 200, 2)}, Epochs: 12,
		Metrics: []Metric{&Accuracy{}, &Confusion{Kind: "f1"}}, OnStep: func(*Progress) error { steps++; return nil },
	})
	require.NoError(t, err)
	require.Len(t, h, 12)
	require.Equal(t, 12*19, steps)
	require.Equal(t, 0.03*Cosine{Warmup: 0.1}.Factor(12*19-1, 12*19), h[11].Rate)
	require.Positive(t, h[11].Rate)
	require.Greater(t, h[11].Metrics["accuracy"], 0.93)
	require.Greater(t, h[11].Metrics["f1"], 0.9)
	require.Less(t, h[11].TrainLoss, h[0].TrainLoss/2)
	require.Less(t, *h[11].ValidationLoss, *h[0].ValidationLoss/2)

	m, err := tr.Export(context.Background(), ExportOptions{Opset: 17, Metadata: []onnx.Prop{{Key: "classes", Value: "in,out"}}, Inputs: rings(t, 5, 3)})
	require.NoError(t, err)
	require.Equal(t, 17, m.Opsets[""])
	for _, n := range m.Graph.Nodes {
		require.NotEqual(t, "Dropout", n.Op)
	}
	require.Equal(t, "net.0.weight", m.Graph.Consts[0].Name)
	file, err := onnx.Encode(m)
	require.NoError(t, err)
	s, err := runtime.OpenBytes(file, runtime.Options{})
	require.NoError(t, err)
	require.Equal(t, []onnx.Prop{{Key: "classes", Value: "in,out"}}, s.Metadata().Metadata)
	s.Close()
}

// Training that ends at any step and goes on from the checkpoint gives the
// parameters of training in one go, bit by bit.
func TestResume(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"plain": nil, "accumulated": func(c *Config) { c.Accumulate, c.EMA, c.ClipNorm = 3, 0.9, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			data, valid := rings(t, 100, 1), rings(t, 30, 2)
			options := func(dir string) FitOptions {
				return FitOptions{Train: &Loader{Dataset: data, BatchSize: 8, Shuffle: true, Seed: 4}, Validation: &Loader{Dataset: valid}, Epochs: 3,
					Metrics: []Metric{&Accuracy{}}, Checkpoint: dir, Patience: 2, Monitor: "accuracy"}
			}
			whole := ringTrainer(t, change)
			want, err := whole.Fit(context.Background(), options(""))
			require.NoError(t, err)
			for _, stop := range []int{1, 7, 13, 20, 37} {
				dir := t.TempDir()
				ctx, cancel := context.WithCancel(context.Background())
				n, o := 0, options(dir)
				o.OnStep = func(*Progress) error {
					if n++; n == stop {
						cancel()
					}
					return nil
				}
				_, err := ringTrainer(t, change).Fit(ctx, o)
				require.ErrorIs(t, err, context.Canceled)
				cancel()
				again := ringTrainer(t, func(c *Config) {
					if change != nil {
						change(c)
					}
					c.Threads = 2
				})
				require.NoError(t, again.Resume(dir))
				got, err := again.Fit(context.Background(), options(dir))
				require.NoError(t, err)
				for i := range want {
					want[i].Seconds, got[i].Seconds = 0, 0
				}
				require.Equal(t, want, got)
				for name, x := range whole.state {
					require.Equal(t, x.Bytes(), again.state[name].Bytes(), "%q after a stop at step %d", name, stop)
				}
			}
		})
	}
}

func TestCheckpoints(t *testing.T) {
	dir := t.TempDir()
	tr := ringTrainer(t, nil)
	_, err := tr.Fit(context.Background(), FitOptions{Train: &Loader{Dataset: rings(t, 64, 1)}, Epochs: 6, Checkpoint: dir, CheckpointSteps: 1})
	require.NoError(t, err)
	list, err := checkpoints(dir)
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Len(t, tr.History(), 6)

	// What a killed process left goes with the next checkpoint; nothing else does.
	left, other := filepath.Join(dir, ".step-000000007-000002.safetensors.123"), filepath.Join(dir, ".keep")
	for _, f := range []string{left, other} {
		require.NoError(t, os.WriteFile(f, nil, 0o644))
	}
	require.NoError(t, tr.checkpoint(dir, 3))
	require.NoFileExists(t, left)
	require.FileExists(t, other)

	// A file that was cut off is passed over for the one before it.
	b, err := os.ReadFile(list[2])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(list[2], b[:len(b)/2], 0o644))
	again := ringTrainer(t, nil)
	require.NoError(t, again.Resume(dir))
	for _, f := range list[:2] {
		require.NoError(t, os.WriteFile(f, []byte("no"), 0o644))
	}
	require.ErrorContains(t, again.Resume(dir), "not a valid safetensors file")
	require.ErrorContains(t, again.Resume(t.TempDir()), "no checkpoints")
	require.ErrorContains(t, ringTrainer(t, func(c *Config) { c.Seed = 6 }).Resume(filepath.Join(dir, "none")), "none")

	path := filepath.Join(dir, "a.safetensors")
	require.NoError(t, tr.Save(path))
	require.ErrorContains(t, ringTrainer(t, func(c *Config) { c.Seed = 6 }).Resume(path), "seed 5, this one has 6")
	require.ErrorContains(t, ringTrainer(t, func(c *Config) { c.EMA = 0.5 }).Resume(path), "it has no tensor")
	require.Error(t, tr.Save(filepath.Join(dir, "no", "folder")))
}

func TestFitErrors(t *testing.T) {
	tr := ringTrainer(t, nil)
	d := rings(t, 40, 1)
	fit := func(o FitOptions) error {
		_, err := tr.Fit(context.Background(), o)
		return err
	}
	require.ErrorContains(t, fit(FitOptions{}), "Train is nil")
	require.ErrorContains(t, fit(FitOptions{Train: &Loader{Dataset: d}}), "Epochs is 0")
	require.ErrorContains(t, fit(FitOptions{Train: &Loader{Dataset: d}, Epochs: 1, Monitor: "auc"}), `no metric "auc"`)
	tensor.Data[int64](d["target"])[33] = 2
	err := fit(FitOptions{Train: &Loader{Dataset: d}, Epochs: 1})
	require.ErrorContains(t, err, "epoch 1, batch 2")
	stopped := ringTrainer(t, nil)
	stop := errors.New("enough")
	o := FitOptions{Train: &Loader{Dataset: rings(t, 100, 1)}, Epochs: 1, OnStep: func(*Progress) error { return stop }}
	_, err = stopped.Fit(context.Background(), o)
	require.ErrorIs(t, err, stop)
	o.Train = &Loader{Dataset: rings(t, 40, 1)}
	_, err = stopped.Fit(context.Background(), o)
	require.ErrorContains(t, err, "batch 1 of an epoch of 4 batches: these data have 2")
	d = rings(t, 40, 1)
	require.ErrorIs(t, fit(FitOptions{Train: &Loader{Dataset: d}, Epochs: 1, OnStep: func(*Progress) error { return stop }}), stop)
}

func TestFindRate(t *testing.T) {
	tr := ringTrainer(t, func(c *Config) { c.Optimizer = SGD{LR: 0.1} })
	before := tr.Model()
	points, rate, err := tr.FindRate(context.Background(), &Loader{Dataset: rings(t, 300, 1), Shuffle: true}, 1e-4, 100, 120)
	require.NoError(t, err)
	require.Greater(t, len(points), 40)
	require.Greater(t, rate, 0.01)
	require.Less(t, rate, 30.0)
	require.Equal(t, 0, tr.Steps())
	for i, v := range before.Graph.Consts {
		require.Equal(t, v.Const.Bytes(), tr.Model().Graph.Consts[i].Const.Bytes())
	}
	_, _, err = tr.FindRate(context.Background(), &Loader{Dataset: rings(t, 300, 1)}, 1, 0.1, 100)
	require.ErrorContains(t, err, "0 < lo < hi")
}
