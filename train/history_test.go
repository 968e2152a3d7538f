package train

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/tensor"
)

func TestHistory(t *testing.T) {
	for name, accumulate := range map[string]int{"plain": 1, "accumulated": 2} {
		t.Run(name, func(t *testing.T) {
			var h History
			o := FitOptions{Train: &Loader{Dataset: rings(t, 64, 1), BatchSize: 16, Shuffle: true}, Validation: &Loader{Dataset: rings(t, 30, 2)}, Epochs: 3,
				Metrics: []Metric{&Accuracy{}}, History: &h}
			tr := ringTrainer(t, func(c *Config) { c.GradNorm, c.Accumulate = true, accumulate })
			require.True(t, math.IsNaN(tr.GradNorm()))
			epochs, err := tr.Fit(context.Background(), o)
			require.NoError(t, err)
			require.Equal(t, epochs, h.Epochs)
			require.Len(t, h.Batches, 12)
			last := h.Batches[11]
			require.Equal(t, []int{12 / accumulate, 3, 16}, []int{last.Step, last.Epoch, last.Samples})
			require.Equal(t, epochs[2].Rate, last.Rate)
			require.Equal(t, tr.GradNorm(), *last.GradNorm)
			sum := 0.0
			for _, b := range h.Batches[8:] {
				sum += b.Loss / 4
			}
			require.InDelta(t, epochs[2].TrainLoss, sum, 1e-9)

			// The same parameters come out without the norm.
			plain := ringTrainer(t, func(c *Config) { c.Accumulate = accumulate })
			o.History = nil
			_, err = plain.Fit(context.Background(), o)
			require.NoError(t, err)
			for _, name := range tr.Names() {
				require.Equal(t, plain.state[name].Bytes(), tr.state[name].Bytes())
			}

			dir := t.TempDir()
			require.NoError(t, h.WriteFile(filepath.Join(dir, "h.json")))
			b, err := os.ReadFile(filepath.Join(dir, "h.json"))
			require.NoError(t, err)
			var back History
			require.NoError(t, json.Unmarshal(b, &back))
			require.Equal(t, h, back)
			require.NoError(t, h.WriteFile(filepath.Join(dir, "h.csv")))
			f, err := os.Open(filepath.Join(dir, "h.csv"))
			require.NoError(t, err)
			defer f.Close()
			rows, err := csv.NewReader(f).ReadAll()
			require.NoError(t, err)
			require.Len(t, rows, 13)
			require.Equal(t, "accuracy", rows[0][9])
			require.Empty(t, rows[3][8])
			require.NotEmpty(t, rows[4][8])
			h.Batches = h.Batches[4:] // as after a run was resumed
			require.NoError(t, h.WriteFile(filepath.Join(dir, "h.csv")))
			require.ErrorContains(t, h.WriteFile(filepath.Join(dir, "h.txt")), "ends in .json or .csv")
		})
	}
}

// The norm is that of the gradients: a step of SGD moves the parameters by the rate times it.
func TestGradNorm(t *testing.T) {
	tr := ringTrainer(t, func(c *Config) { c.GradNorm, c.Optimizer, c.Schedule, c.ClipNorm = true, SGD{LR: 0.5}, nil, 0 })
	before := map[string]*tensor.Tensor{}
	for _, name := range tr.Names() {
		before[name] = tr.state[name].Clone()
	}
	b, err := rings(t, 32, 1).Batch(context.Background(), []int{0, 1, 2, 3, 4, 5, 6, 7})
	require.NoError(t, err)
	_, err = tr.Step(context.Background(), b)
	require.NoError(t, err)
	sum := 0.0
	for name, x := range before {
		for i, v := range tensor.Data[float32](x) {
			d := float64(v-tensor.Data[float32](tr.state[name])[i]) / 0.5
			sum += d * d
		}
	}
	require.InEpsilon(t, math.Sqrt(sum), tr.GradNorm(), 1e-4)
}
