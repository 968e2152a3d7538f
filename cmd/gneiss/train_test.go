package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// saveSamples writes points in and outside of a circle.
func saveSamples(t *testing.T, path string, n int) {
	t.Helper()
	x, y := tensor.New(tensor.Float64, n, 2), tensor.New(tensor.Int32, n)
	for i := range n {
		a, b := float64(i%37)/18-1, float64(i%41)/20-1
		tensor.Data[float64](x)[2*i], tensor.Data[float64](x)[2*i+1] = a, b
		if a*a+b*b > 0.5 {
			tensor.Data[int32](y)[i] = 1
		}
	}
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: "x", Tensor: x}, {Name: "y", Tensor: y}}))
	require.NoError(t, f.Close())
}

const ringConfig = `
model: {layers: [{linear: 24}, tanh, {dropout: 0.05}, {linear: 1}]}
data: {train: DIR/train.npz, validation: DIR/val.npz, target: y, batch_size: 32, shuffle: true}
loss: bce_with_logits
optimizer: {name: adam, lr: 0.02}
schedule: {name: cosine, warmup: 0.05}
metrics: [accuracy, auc]
epochs: 15
seed: 1
output: DIR/model.onnx
checkpoint: DIR/run
tensorboard: DIR/events
`

func TestTrain(t *testing.T) {
	dir := t.TempDir()
	saveSamples(t, filepath.Join(dir, "train.npz"), 1000)
	saveSamples(t, filepath.Join(dir, "val.npz"), 300)
	config := filepath.Join(dir, "ring.yaml")
	write := func(text string) {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	write(ringConfig)
	r := ok(t, "train", config, "--json")
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	require.Len(t, lines, 15)
	events, err := filepath.Glob(filepath.Join(dir, "events", "events.out.tfevents.*"))
	require.NoError(t, err)
	require.Len(t, events, 1)
	var last struct {
		Epoch   int                `json:"epoch"`
		Train   float64            `json:"train_loss"`
		Val     float64            `json:"validation_loss"`
		Metrics map[string]float64 `json:"metrics"`
		Seconds float64            `json:"seconds"`
	}
	require.NoError(t, json.Unmarshal([]byte(lines[14]), &last))
	assert.Equal(t, 15, last.Epoch)
	assert.Greater(t, last.Metrics["accuracy"], 0.93)
	assert.Greater(t, last.Metrics["auc"], 0.98)
	assert.Positive(t, last.Seconds)
	model := filepath.Join(dir, "model.onnx")
	ok(t, "check", model)
	e := ok(t, "eval", model, "--data", filepath.Join(dir, "val.npz"), "--target", "y", "--metric", "accuracy", "--metric", "f1", "--json")
	var eval evalResult
	require.NoError(t, json.Unmarshal([]byte(e.out), &eval))
	assert.Equal(t, 300, eval.Samples)
	assert.InDelta(t, last.Metrics["accuracy"], eval.Metrics["accuracy"], 1e-9)

	// It goes on from its last checkpoint, here with more epochs to do.
	r = ok(t, "train", config, "--set", "epochs=16", "--resume", filepath.Join(dir, "run"))
	assert.Contains(t, r.out, "epoch 16/16: loss ")
	assert.NotContains(t, r.out, "epoch 15/16", "what was done before is told again")
	assert.Contains(t, r.out, "opset 20")

	// Fine-tuning what was written, with a new head.
	tuned := `
model: {import: DIR/model.onnx, freeze: ["model.0.*"], head: {classes: 1}}
data: {train: DIR/train.npz, split: 0.2, target: y}
loss: {name: bce_with_logits, pos_weight: 1.5}
optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
metrics: [accuracy]
epochs: 3
output: DIR/tuned.onnx
opset: 17
`
	write(tuned)
	r = ok(t, "train", config, "--set", "optimizer.nesterov=true", "--set", "optimizer.lazy=true", "--set", "recompute=auto")
	assert.Contains(t, r.out, "epoch 3/3")
	assert.Contains(t, r.out, "opset 17")
	assert.NotContains(t, r.out, "skipped")
	r = ok(t, "train", config, "--set", "mixed_precision=bfloat16")
	assert.Contains(t, r.out, "epoch 3/3")
	write(tuned + "mixed_precision: {type: float16, loss_scale: {initial: 1e9}}\n") // which overflows at first
	r = ok(t, "train", config)
	assert.Regexp(t, `epoch 1/3.* steps skipped`, r.out)
	assert.Regexp(t, `epoch 3/3: .*accuracy [0-9.]+, [0-9.]+ s`, r.out) // none is skipped any more

	for want, text := range map[string]string{
		`line 3: data: unknown key "bach_size"; did you mean "batch_size"?`: strings.Replace(ringConfig, "batch_size", "bach_size", 1),
		`did you mean "optimizer"?`:                                         strings.Replace(ringConfig, "optimizer:", "optimiser:", 1),
		`there is no "adamm"; did you mean "adam" or "adamw"?`:              strings.Replace(ringConfig, "adam", "adamm", 1),
		`unknown key "warmupp"`:                                             strings.Replace(ringConfig, "warmup", "warmupp", 1),
		`there is no layer "tnah"; did you mean "tanh"?`:                    strings.Replace(ringConfig, "tanh", "tnah", 1),
		`layer linear needs a size`:                                         strings.Replace(ringConfig, "{linear: 24}", "linear", 1),
		`there is no metric "acc"`:                                          strings.Replace(ringConfig, "accuracy", "acc", 1),
		`has no "z": it has x, y`:                                           strings.Replace(ringConfig, "target: y", "target: y, inputs: [z]", 1),
		"epochs is 0":                                                       strings.Replace(ringConfig, "epochs: 15", "epochs: 0", 1),
		"want one of import, name and layers":                               strings.Replace(ringConfig, "{layers: [{linear: 24}, tanh, {dropout: 0.05}, {linear: 1}]}", "{}", 1),
		"loss is missing":                                                   strings.Replace(ringConfig, "loss: bce_with_logits\n", "", 1),
		"none/model.onnx: folder ":                                          strings.Replace(ringConfig, "DIR/model.onnx", "DIR/none/model.onnx", 1),
		"no.npz":                                                            strings.Replace(ringConfig, "DIR/train.npz", "DIR/no.npz", 1),
		"it is empty":                                                       "",
		"recompute: want auto, or a list":                                   ringConfig + "recompute: always\n",
		`pattern "layer9*" is no node's name`:                               ringConfig + "recompute: [\"layer9*\"]\n",
		`line 13: mixed_precision: type is "int8", want bfloat16 or float16`: ringConfig + "mixed_precision: int8\n",
		`mixed_precision: loss_scale: unknown key "intervall"`:               ringConfig + "mixed_precision: {type: float16, loss_scale: {intervall: 3}}\n",
		"LossScale.Backoff is 2, want a number between 0 and 1":              ringConfig + "mixed_precision: {type: float16, loss_scale: {backoff: 2}}\n",
		"lazy is for adam, adamw, adagrad and sgd, not lion":                 strings.Replace(ringConfig, "{name: adam,", "{name: lion, lazy: true,", 1),
	} {
		write(text)
		r := gneiss(t, "train", config)
		assert.Equal(t, exitFailed, r.code, want)
		assert.Contains(t, r.err, want)
	}
	write(ringConfig)
	assert.Equal(t, exitUsage, gneiss(t, "train", config, "--set", "epochs").code)
	assert.Equal(t, exitUsage, gneiss(t, "eval", model, "--target", "y").code)
	r = gneiss(t, "eval", model, "--data", filepath.Join(dir, "val.npz"), "--target", "z")
	assert.Contains(t, r.err, `has no "z"`)
}

// A student learns from a model and samples without targets.
func TestDistill(t *testing.T) {
	dir := t.TempDir()
	saveSamples(t, filepath.Join(dir, "train.npz"), 1000)
	saveSamples(t, filepath.Join(dir, "val.npz"), 300)
	config := filepath.Join(dir, "c.yaml")
	write := func(text string) {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	two := strings.NewReplacer("{linear: 1}", "{linear: 2}", "bce_with_logits", "cross_entropy", ", auc", "", "checkpoint: DIR/run\n", "").Replace(ringConfig)
	write(two)
	ok(t, "train", config)
	teacher := "teacher: {model: DIR/model.onnx, temperature: 2, alpha: 0.7}\n"
	student := strings.ReplaceAll(two, "DIR/model.onnx", "DIR/student.onnx") + teacher
	write(student)
	r := ok(t, "distill", config)
	assert.Contains(t, r.out, "accuracy 0.9")
	write(strings.NewReplacer("loss: cross_entropy\n", "", "metrics: [accuracy]\n", "", ", alpha: 0.7", "").Replace(student))
	ok(t, "distill", config)
	e := ok(t, "eval", filepath.Join(dir, "student.onnx"), "--data", filepath.Join(dir, "val.npz"), "--target", "y")
	assert.Regexp(t, `accuracy +0\.9`, e.out)

	r = gneiss(t, "train", config)
	assert.Contains(t, r.err, "gneiss distill")
	write(two)
	r = gneiss(t, "distill", config)
	assert.Contains(t, r.err, "there is no teacher")
	write(strings.Replace(student, "model: DIR/model.onnx", "model: DIR/none.onnx", 1))
	r = gneiss(t, "distill", config)
	assert.Contains(t, r.err, "none.onnx")
}

// Quantisation-aware training writes integers, which are about as good as floats.
func TestTrainQAT(t *testing.T) {
	dir := t.TempDir()
	saveSamples(t, filepath.Join(dir, "train.npz"), 1000)
	saveSamples(t, filepath.Join(dir, "val.npz"), 300)
	config := filepath.Join(dir, "c.yaml")
	write := func(text string) {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	write(strings.Replace(ringConfig, "checkpoint: DIR/run\n", "", 1))
	ok(t, "train", config)
	tune := strings.NewReplacer("{layers: [{linear: 24}, tanh, {dropout: 0.05}, {linear: 1}]}", "{import: DIR/model.onnx}", "checkpoint: DIR/run\n", "",
		"epochs: 15", "epochs: 10", "output: DIR/model.onnx", "output: DIR/int.onnx", "lr: 0.02", "lr: 0.01").Replace(ringConfig)
	write(tune + "qat: {weights: int4, activations: uint8}\n")
	ok(t, "train", config)
	m, err := onnx.Open(filepath.Join(dir, "int.onnx"), onnx.DecodeOptions{})
	require.NoError(t, err)
	defer m.Close()
	codes := 0
	for _, v := range m.Graph.Consts {
		if v.Const.DType() == tensor.Int4 && v.Const.Rank() == 2 {
			codes++
		}
	}
	require.Equal(t, 2, codes)
	e := ok(t, "eval", filepath.Join(dir, "int.onnx"), "--data", filepath.Join(dir, "val.npz"), "--target", "y")
	assert.Regexp(t, `accuracy +0\.9`, e.out)
	write(tune + "qat: {weights: int3}\n")
	assert.Contains(t, gneiss(t, "train", config).err, `there are no integers "int3"`)
	write(tune + "qat: {weight: int8}\n")
	assert.Contains(t, gneiss(t, "train", config).err, `did you mean "weights"?`)
}
