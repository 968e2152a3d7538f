package train

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/optest"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
)

func TestVAELoss(t *testing.T) {
	y, mean, logs := optest.Normal(1, 3, 4), optest.Normal(2, 3, 2), optest.Normal(3, 3, 2)
	x := tensor.New(tensor.Float64, 3, 4)
	for i := range tensor.Data[float64](x) {
		tensor.Data[float64](x)[i] = float64(i%5) / 4
	}
	kl, bce, square := 0.0, 0.0, 0.0
	for i, m := range tensor.Data[float64](mean) {
		v := tensor.Data[float64](logs)[i]
		kl += (m*m + math.Exp(v) - 1 - v) / 2 / 3
	}
	for i, v := range tensor.Data[float64](y) {
		p, want := 1/(1+math.Exp(-v)), tensor.Data[float64](x)[i]
		bce -= (want*math.Log(p) + (1-want)*math.Log(1-p)) / 3
		square += (v - want) * (v - want) / 2 / 3
	}
	require.InDelta(t, bce+kl, lossOf(t, VAE{}, x, y, mean, logs), 1e-12)
	require.InDelta(t, square+0.3*kl, lossOf(t, VAE{Beta: 0.3, Real: true}, x, y, mean, logs), 1e-12)
}

// vae returns a trainer of a small VAE and samples: vectors around two corners.
func vae(t *testing.T, threads int) (*Trainer, Arrays) {
	t.Helper()
	m, err := nn.Build(1, []nn.Input{nn.Floats("x", 6)}, func(s *nn.Scope, in []*onnx.Value) []nn.Output {
		return nn.VAE{Hidden: []int{16}, Code: 2}.Apply(s, in[0])
	})
	require.NoError(t, err)
	require.Empty(t, onnx.Check(m))
	tr, err := New(m, Config{Loss: VAE{}, Outputs: []string{nn.VAELogits, nn.VAEMean, nn.VAELogVariance}, Target: "x", Optimizer: Adam{LR: 0.01}, Seed: 5, Threads: threads})
	require.NoError(t, err)
	t.Cleanup(tr.Close)
	require.Empty(t, tr.Targets())
	r := rand.New(rand.NewPCG(1, 1))
	x := tensor.New(tensor.Float32, 256, 6)
	for i := range 256 {
		for k := range 6 {
			if (k < 3) == (i%2 == 0) && r.Float64() < 0.95 {
				tensor.Data[float32](x)[6*i+k] = 1
			}
		}
	}
	return tr, Arrays{"x": x}
}

func TestVAE(t *testing.T) {
	ctx := context.Background()
	tr, set := vae(t, 1)
	h, err := tr.Fit(ctx, FitOptions{Train: &Loader{Dataset: set, Shuffle: true}, Validation: &Loader{Dataset: set}, Epochs: 30})
	require.NoError(t, err)
	// ln 2 for each feature at first; the entropy of the data is about ln 2 + 3·0.2.
	require.Greater(t, h[0].TrainLoss, 3.5)
	require.Less(t, h[29].TrainLoss, 2.2)
	require.Less(t, *h[29].ValidationLoss, h[29].TrainLoss, "the mean of the codes is better than noisy ones")

	again, _ := vae(t, 2)
	g, err := again.Fit(ctx, FitOptions{Train: &Loader{Dataset: set, Shuffle: true}, Epochs: 2})
	require.NoError(t, err)
	require.Equal(t, h[0].TrainLoss, g[0].TrainLoss, "threads change the noise")
	require.Equal(t, h[1].TrainLoss, g[1].TrainLoss)

	// The written model has no noise, and its code is the mean.
	m, err := tr.Export(ctx, ExportOptions{Inputs: map[string]*tensor.Tensor{"x": set["x"]}})
	require.NoError(t, err)
	for _, n := range m.Graph.Nodes {
		require.NotEqual(t, "RandomNormalLike", n.Op)
		require.NotEqual(t, "Exp", n.Op)
	}
	encoder, err := tr.Export(ctx, ExportOptions{From: []string{"x"}, To: []string{nn.VAEMean, nn.VAELogVariance}, Inputs: set})
	require.NoError(t, err)
	require.Len(t, encoder.Graph.Outputs, 2)
	code := tensor.Of([]float32{0.5, -1, 0, 1.5}, 2, 2)
	decoder, err := tr.Export(ctx, ExportOptions{From: []string{nn.VAECode}, To: []string{nn.VAEOutput}, Inputs: map[string]*tensor.Tensor{nn.VAECode: code}})
	require.NoError(t, err)
	require.Equal(t, nn.VAECode, decoder.Graph.Inputs[0].Name)
	for _, v := range decoder.Graph.Consts {
		require.NotContains(t, v.Name, "encoder")
	}
	_, err = tr.Export(ctx, ExportOptions{From: []string{nn.VAECode}, To: []string{nn.VAEMean}})
	require.ErrorContains(t, err, `need "x"`)

	// Codes drawn from the standard normal distribution make vectors like those it has seen.
	s, err := runtime.New(decoder, runtime.Options{})
	require.NoError(t, err)
	defer s.Close()
	r := rand.New(rand.NewPCG(2, 2))
	z := tensor.New(tensor.Float32, 200, 2)
	for i := range tensor.Data[float32](z) {
		tensor.Data[float32](z)[i] = float32(r.NormFloat64())
	}
	out, err := s.Run(ctx, map[string]tensor.Value{nn.VAECode: z})
	require.NoError(t, err)
	p := tensor.Data[float32](out[nn.VAEOutput].(*tensor.Tensor))
	first, plausible := 0, 0
	for i := range 200 {
		a, b := p[6*i]+p[6*i+1]+p[6*i+2], p[6*i+3]+p[6*i+4]+p[6*i+5]
		if a > b {
			first++
		}
		if max(a, b) > 2.4 && min(a, b) < 0.6 {
			plausible++
		}
	}
	require.InDelta(t, 100, first, 40)
	require.Greater(t, plausible, 140)
}

// The noise follows from the step's number: what goes on from a checkpoint has the noise that it would have had.
func TestVAEResumes(t *testing.T) {
	ctx, dir := context.Background(), t.TempDir()
	fit := func(tr *Trainer, set Arrays, epochs int, checkpoint string) {
		_, err := tr.Fit(ctx, FitOptions{Train: &Loader{Dataset: set, Shuffle: true}, Epochs: epochs, Checkpoint: checkpoint})
		require.NoError(t, err)
	}
	whole, set := vae(t, 1)
	fit(whole, set, 3, "")
	half, _ := vae(t, 2)
	fit(half, set, 1, dir)
	rest, _ := vae(t, 1)
	require.NoError(t, rest.Resume(dir))
	fit(rest, set, 3, "")
	want, got := whole.Model().Graph.Consts, rest.Model().Graph.Consts
	require.Len(t, got, len(want))
	for i, v := range want {
		require.Equal(t, v.Const.Bytes(), got[i].Const.Bytes(), v.Name)
	}
}
