package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
)

// lastEpoch returns what the last line of train --json says.
func lastEpoch(t *testing.T, out string) (e struct {
	ValidationLoss float64            `json:"validation_loss"`
	Metrics        map[string]float64 `json:"metrics"`
}) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &e))
	return e
}

func evaluate(t *testing.T, args ...string) (r evalResult) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(ok(t, append([]string{"eval", "--json"}, args...)...).out), &r))
	return r
}

// TestEvalPictures evaluates models on folders of images, as their metadata say.
func TestEvalPictures(t *testing.T) {
	dir := t.TempDir()
	saveStripeImages(t, filepath.Join(dir, "train"), 80, 1)
	saveStripeImages(t, filepath.Join(dir, "val"), 40, 2)
	config, model := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "model.onnx")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "val.csv"), []byte("name,what\nlying/000.png,lying\nstanding/001.png,standing\n"), 0o644))
	for _, set := range []string{"data.preprocess=unit", "data.preprocess=imagenet", "export={pixels: uint8}", "export={pixels: float32}"} {
		text := strings.Replace(picturesConfig, "split: 0.25", "validation: DIR/val", 1)
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
		// With two epochs not all is right: an accuracy of 1 would tell little.
		last := lastEpoch(t, ok(t, "train", config, "--json", "--set", "epochs=2", "--set", set).out)
		r := evaluate(t, model, "--data", filepath.Join(dir, "val"))
		assert.Equal(t, 40, r.Samples)
		assert.InDelta(t, last.Metrics["accuracy"], r.Metrics["accuracy"], 1e-9, set)
		r = evaluate(t, model, "--data", filepath.Join(dir, "val.csv"), "--images", filepath.Join(dir, "val"), "--target", "what")
		assert.Equal(t, 2, r.Samples)
	}
	require.NoError(t, os.Rename(filepath.Join(dir, "val", "lying"), filepath.Join(dir, "val", "leaning")))
	r := gneiss(t, "eval", model, "--data", filepath.Join(dir, "val"))
	assert.Contains(t, r.err, `"leaning" is no class of the model: these are lying, standing`)
	m, err := onnx.Open(model, onnx.DecodeOptions{})
	require.NoError(t, err)
	for i := range m.Metadata {
		if m.Metadata[i].Key == preprocessKey {
			m.Metadata[i].Value = `{"images": "unit", "size": [-1, 5]}`
		}
	}
	bad := filepath.Join(dir, "bad.onnx")
	require.NoError(t, onnx.Save(m, bad, onnx.SaveOptions{}))
	assert.Contains(t, gneiss(t, "eval", bad, "--data", filepath.Join(dir, "train")).err, "has size [-1 5], want a height and a width")
}

const reviewsConfig = `
model: {name: text-rnn, vocab: 60, embedding: 16, hidden: 16, classes: 1}
data: {train: DIR/train.csv, validation: DIR/val.csv, target: label, batch_size: 16, shuffle: true, tokenizer: DIR/tokenizer.json, text: review}
loss: bce_with_logits
optimizer: {name: adam, lr: 0.001}
metrics: [accuracy, auc]
epochs: 1
seed: 1
output: DIR/model.onnx
`

// TestEvalText evaluates a model on a column of text, by its metadata.
func TestEvalText(t *testing.T) {
	dir := t.TempDir()
	saveReviews(t, dir)
	model, val := filepath.Join(dir, "model.onnx"), filepath.Join(dir, "val.csv")
	config := filepath.Join(dir, "text.yaml")
	require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(reviewsConfig, "DIR", dir)), 0o644))
	last := lastEpoch(t, ok(t, "train", config, "--json").out)
	r := evaluate(t, model, "--data", val, "--target", "label", "--metric", "accuracy", "--metric", "auc")
	assert.Equal(t, 40, r.Samples)
	assert.InDeltaMapValues(t, last.Metrics, r.Metrics, 1e-6)
	assert.Less(t, r.Metrics["auc"], 1.0)
	assert.Equal(t, r, evaluate(t, model, "--data", val, "--target", "label", "--metric", "accuracy", "--metric", "auc", "--batch", "7"), "batches do not matter")
	lines := filepath.Join(dir, "val.jsonl")
	b, err := os.ReadFile(val)
	require.NoError(t, err)
	var out strings.Builder
	for _, row := range strings.Split(strings.TrimSpace(string(b)), "\n")[1:] {
		i := strings.LastIndexByte(row, ',')
		fmt.Fprintf(&out, "{\"review\": %s, \"label\": %s}\n", row[:i], row[i+1:])
	}
	require.NoError(t, os.WriteFile(lines, []byte(out.String()), 0o644))
	assert.Equal(t, r.Metrics, evaluate(t, model, "--data", lines, "--target", "label", "--metric", "accuracy", "--metric", "auc").Metrics)

	// The tokenizer elsewhere, the column under another name, fewer tokens.
	moved := filepath.Join(dir, "t.json")
	require.NoError(t, os.Rename(filepath.Join(dir, "tokenizer.json"), moved))
	e := gneiss(t, "eval", model, "--data", val, "--target", "label")
	assert.Equal(t, exitFailed, e.code)
	assert.Contains(t, e.err, "--tokenizer FILE names another")
	renamed := filepath.Join(dir, "renamed.csv")
	require.NoError(t, os.WriteFile(renamed, []byte(strings.Replace(string(b), "review,", "words,", 1)), 0o644))
	assert.Contains(t, gneiss(t, "eval", model, "--data", renamed, "--target", "label", "--tokenizer", moved).err, `"review"`)
	assert.Equal(t, r.Metrics, evaluate(t, model, "--data", renamed, "--target", "label", "--tokenizer", moved, "--text", "words", "--metric", "accuracy", "--metric", "auc").Metrics)
	short := evaluate(t, model, "--data", val, "--target", "label", "--tokenizer", moved, "--max-length", "4", "--metric", "auc")
	assert.NotEqual(t, r.Metrics["auc"], short.Metrics["auc"])

	// Another tokenizer beside the model is an error, one that is named a warning.
	text, err := os.ReadFile(moved)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "tokenizer.json"), append(text, '\n'), 0o644))
	e = gneiss(t, "eval", model, "--data", val, "--target", "label")
	assert.Equal(t, exitFailed, e.code)
	assert.Contains(t, e.err, "is not the tokenizer that the model was trained with")
	e = ok(t, "eval", model, "--data", val, "--target", "label", "--tokenizer", filepath.Join(dir, "tokenizer.json"))
	assert.Contains(t, e.err, "is not the tokenizer that the model was trained with")
	assert.Equal(t, exitUsage, gneiss(t, "eval", model, "--data", val, "--target", "label", "--max-length", "-1").code)
}
