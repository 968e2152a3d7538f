package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/tensor"
)

// saveStripes writes images of stripes that stand or lie.
func saveStripes(t *testing.T, path string, n int) {
	t.Helper()
	x, y := tensor.New(tensor.Float32, n, 1, 8, 8), tensor.New(tensor.Int64, n)
	for i := range n {
		lying := i % 2
		tensor.Data[int64](y)[i] = int64(lying)
		for p := range 64 {
			at := p % 8
			if lying == 1 {
				at = p / 8
			}
			tensor.Data[float32](x)[64*i+p] = float32((at+i/2)%4/2)*0.8 + float32((i*p)%7)/35
		}
	}
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: "x", Tensor: x}, {Name: "y", Tensor: y}}))
	require.NoError(t, f.Close())
}

const stripesConfig = `
model: {layers: [{conv: {out: 8, kernel: 3, pad: 1}}, relu, {max_pool: 2}, flatten, {linear: 2}]}
data:
  train: DIR/train.npz
  validation: DIR/val.npz
  target: y
  batch_size: 16
  shuffle: true
  augment: [{flip: 0.5}, {crop: 1}, {rotate: 5}, {color: {brightness: 0.2}}, {normalize: {mean: [0.5], std: [0.5]}}, {mixup: 0.2}]
loss: {name: cross_entropy, label_smoothing: 0.02}
optimizer: {name: adam, lr: 0.01}
metrics: [accuracy]
epochs: 6
seed: 1
output: DIR/model.onnx
save_weights: DIR/w.safetensors
`

func TestTrainImages(t *testing.T) {
	dir := t.TempDir()
	saveStripes(t, filepath.Join(dir, "train.npz"), 200)
	saveStripes(t, filepath.Join(dir, "val.npz"), 60)
	config := filepath.Join(dir, "c.yaml")
	write := func(text string) {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	write(stripesConfig)
	r := ok(t, "train", config)
	assert.Contains(t, r.out, "accuracy 1.0000")

	// Weights go into another model, under other names.
	loaded := strings.NewReplacer("}}}, relu", "}}}, tanh", "{layers: [", `{weights: DIR/w.safetensors, names: {"^model\\.": "model."}, layers: [`).Replace(stripesConfig)
	write(loaded)
	r = ok(t, "train", config, "--set", "epochs=1")
	assert.Contains(t, r.err, "w.safetensors: 4 weights loaded, 0 missing")
	assert.Contains(t, r.out, "accuracy 1.0000", "after one epoch from the trained weights")
	write(strings.Replace(loaded, "{linear: 2}", "{linear: 3}", 1))
	assert.Contains(t, gneiss(t, "train", config).err, `2 of another shape: ["model.4.weight: [2 128], want [3 128]"`)
	r = ok(t, "train", config, "--set", "model.strict=false", "--set", "epochs=1")
	assert.Contains(t, r.err, "2 weights loaded, 0 missing, 0 unexpected, 2 of another shape")

	for want, text := range map[string]string{
		`augment: there is no "fliip"; did you mean "flip"?`:   strings.Replace(stripesConfig, "flip:", "fliip:", 1),
		`unknown key "brigthness"; did you mean "brightness"?`: strings.Replace(stripesConfig, "brightness", "brigthness", 1),
		"want {name: settings}":                                strings.Replace(stripesConfig, "{flip: 0.5}", "flip", 1),
		"step 1: horizontal flip with probability 5":           strings.Replace(stripesConfig, "flip: 0.5", "flip: 5", 1),
		"nll takes classes":                                    strings.Replace(stripesConfig, "{name: cross_entropy, label_smoothing: 0.02}", "nll", 1),
		"step 4: colour jitter of images with 1 channels":      strings.Replace(stripesConfig, "brightness: 0.2", "hue: 0.2", 1),
		`transpose is "maybe"`:                                 strings.Replace(loaded, `"model."}`, `{to: "model.", transpose: maybe}}`, 1),
		"names and strict are for weights":                     strings.Replace(loaded, "weights: DIR/w.safetensors, ", "", 1),
		`4 missing: ["model.0.weight"`:                         strings.Replace(loaded, `"model."}`, `"net."}`, 1),
		"mixup and cutmix do not mix what a teacher":           stripesConfig + "teacher: {model: DIR/model.onnx}\n",
		"normalize comes behind what qat calibrates":           strings.Replace(stripesConfig, ", {mixup: 0.2}", "", 1) + "qat: {weights: int8}\n",
		"has 0 inputs of images":                               strings.NewReplacer("DIR/train", "DIR/points", "DIR/val", "DIR/points", "{layers: [{conv: {out: 8, kernel: 3, pad: 1}}, relu, {max_pool: 2}, flatten, ", "{layers: [").Replace(stripesConfig),
	} {
		saveSamples(t, filepath.Join(dir, "points.npz"), 50)
		write(text)
		r := gneiss(t, "train", config)
		assert.Equal(t, exitFailed, r.code, want)
		assert.Contains(t, r.err, want)
	}
}
