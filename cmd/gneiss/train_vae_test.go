package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
)

const vaeConfig = `
model: {name: vae, hidden: [8], code: 2, encoder: DIR/encoder.onnx, decoder: DIR/decoder.onnx}
data: {train: DIR/train.npz, split: 0.2, inputs: [x], target: x, batch_size: 32, shuffle: true}
loss: {name: vae, beta: 0.5, reconstruction: mse}
optimizer: {name: adam, lr: 0.01}
epochs: 2
seed: 1
output: DIR/model.onnx
`

func TestTrainVAE(t *testing.T) {
	dir := t.TempDir()
	saveSamples(t, filepath.Join(dir, "train.npz"), 300)
	config := filepath.Join(dir, "vae.yaml")
	write := func(text string) {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	for reconstruction, outputs := range map[string][]string{"mse": {"output", "mean", "log_variance"}, "bce": {"output", "logits", "mean", "log_variance"}} {
		write(strings.Replace(vaeConfig, "mse", reconstruction, 1))
		r := ok(t, "train", config)
		require.Contains(t, r.out, "epoch 2/2: loss ")
		for file, want := range map[string][2][]string{"model": {{"x"}, outputs}, "encoder": {{"x"}, {"mean", "log_variance"}}, "decoder": {{"code"}, {"output"}}} {
			path := filepath.Join(dir, file+".onnx")
			require.Contains(t, r.out, path)
			ok(t, "check", path)
			m, err := onnx.Open(path, onnx.DecodeOptions{})
			require.NoError(t, err)
			var in, out []string
			for _, v := range m.Graph.Inputs {
				in = append(in, v.Name)
			}
			for _, v := range m.Graph.Outputs {
				out = append(out, v.Name)
			}
			require.Equal(t, want, [2][]string{in, out}, file)
			require.NoError(t, m.Close())
		}
	}
	for want, text := range map[string]string{
		"the loss is \"mse\", want vae":                    strings.Replace(vaeConfig, "{name: vae, beta: 0.5, reconstruction: mse}", "mse", 1),
		"reconstruction is \"l1\", want bce or mse":        strings.Replace(vaeConfig, "mse", "l1", 1),
		"VAE with a code of 0":                             strings.Replace(vaeConfig, "code: 2", "code: 0", 1),
		"unknown key \"encodr\"; did you mean \"encoder\"": strings.Replace(vaeConfig, "encoder:", "encodr:", 1),
	} {
		write(text)
		r := gneiss(t, "train", config)
		require.Equal(t, exitFailed, r.code, want)
		require.Contains(t, r.err, want)
	}
}

// Images, whose convolutions the encoder and the decoder have.
func TestTrainConvVAE(t *testing.T) {
	dir := t.TempDir()
	x := tensor.New(tensor.Float32, 64, 1, 8, 8)
	for i := range tensor.Data[float32](x) { // the left half or the right one is bright
		if (i/64%2 == 0) == (i%8 < 4) {
			tensor.Data[float32](x)[i] = 1
		}
	}
	f, err := os.Create(filepath.Join(dir, "train.npz"))
	require.NoError(t, err)
	require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: "x", Tensor: x}}))
	require.NoError(t, f.Close())
	config := filepath.Join(dir, "vae.yaml")
	text := strings.NewReplacer("hidden: [8]", "channels: [4, 6], hidden: [8]", "mse", "bce", "epochs: 2", "epochs: 60", "batch_size: 32", "batch_size: 16").Replace(vaeConfig)
	write := func(text string) {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	write(text)
	ok(t, "train", config)
	m, err := onnx.Open(filepath.Join(dir, "decoder.onnx"), onnx.DecodeOptions{})
	require.NoError(t, err)
	defer m.Close()
	count := 0
	for _, n := range m.Graph.Nodes {
		if n.Op == "ConvTranspose" {
			count++
		}
	}
	require.Equal(t, 2, count)
	// What comes out of the model is near what went in: the mean error of constants is 0.5.
	s, err := runtime.Open(filepath.Join(dir, "model.onnx"), runtime.Options{})
	require.NoError(t, err)
	defer s.Close()
	out, err := s.Run(t.Context(), map[string]tensor.Value{"x": x})
	require.NoError(t, err)
	y, lost := out["output"].(*tensor.Tensor), 0.0
	require.Equal(t, x.Shape(), y.Shape())
	for i, v := range tensor.Data[float32](y) {
		lost += math.Abs(float64(v-tensor.Data[float32](x)[i])) / float64(y.Len())
	}
	require.Less(t, lost, 0.2)
	write(strings.Replace(text, "[4, 6]", "[4, 6, 8, 9]", 1))
	r := gneiss(t, "train", config)
	require.Equal(t, exitFailed, r.code)
	require.Contains(t, r.err, "VAE of images of 8×8 with 4 convolutions, want multiples of 16")
}

// Entries of model.layers make the layers that they name.
func TestLayerOf(t *testing.T) {
	for text, want := range map[string]nn.Layer{
		"global_max_pool": nn.GlobalMaxPool,
		"{sinusoids: 9}":  nn.Sinusoids{Max: 9},
		"{transformer: {heads: 2, hidden: 8, attention_dropout: 0.5}}":            nn.TransformerLayer{Heads: 2, Hidden: 8, AttentionDropout: 0.5},
		"{transformer: {heads: 2, hidden: 8, rotary: 9}}":                         nn.TransformerLayer{Heads: 2, Hidden: 8, Rotary: &nn.Rotary{Max: 9}},
		"{adaptive_avg_pool: 2}":                                                  nn.AdaptivePool{Out: 2, Mean: true},
		"{adaptive_max_pool: 3}":                                                  nn.AdaptivePool{Out: 3},
		"{embedding_bag: {num: 9, dim: 4}}":                                       nn.EmbeddingBag{Num: 9, Dim: 4},
		"{embedding_bag: {num: 9, dim: 4, mode: max, pad: 0}}":                    nn.EmbeddingBag{Num: 9, Dim: 4, Mode: "max", Padded: true},
		"{conv_transpose: {out: 8, kernel: 4, stride: 2, pad: 1, output_pad: 1}}": nn.ConvTranspose{Out: 8, Kernel: 4, Stride: 2, Pad: 1, OutputPad: 1},
	} {
		var doc yaml.Node
		require.NoError(t, yaml.Unmarshal([]byte(text), &doc))
		l, err := layerOf(doc.Content[0])
		require.NoError(t, err, text)
		require.Equal(t, want, l, text)
	}
}
