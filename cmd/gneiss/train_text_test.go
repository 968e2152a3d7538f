package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/data/tokenizer"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// saveReviews writes reviews of stones, and a tokenizer that is trained on them.
func saveReviews(t *testing.T, dir string) *tokenizer.Tokenizer {
	t.Helper()
	good, bad := []string{"a fine stone", "what a lovely gneiss", "fine bands, lovely"}, []string{"a dull stone", "what a poor rock", "poor and dull"}
	write := func(name string, rows int) {
		var csv strings.Builder
		csv.WriteString("review,label\n")
		for i := range rows {
			fmt.Fprintf(&csv, "\"%s %d\",1\n\"%s %d\",0\n", good[i%3], i, bad[i%3], i)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(csv.String()), 0o644))
	}
	write("train.csv", 60)
	write("val.csv", 20)
	tok, err := tokenizer.Train(context.Background(), func(yield func(string, error) bool) {
		for _, s := range append(good, bad...) {
			if !yield(s, nil) {
				return
			}
		}
	}, tokenizer.TrainOptions{Model: "WordPiece", VocabSize: 60, Lowercase: true})
	require.NoError(t, err)
	require.NoError(t, tok.Save(filepath.Join(dir, "tokenizer.json")))
	return tok
}

// TestTrainText trains on a column of text that a tokenizer makes ids of.
func TestTrainText(t *testing.T) {
	dir := t.TempDir()
	tok := saveReviews(t, dir)
	config := filepath.Join(dir, "text.yaml")
	write := func(data string) {
		text := `
model: {name: text-rnn, vocab: 60, embedding: 16, hidden: 16, classes: 1}
data: {train: DIR/train.csv, target: label, batch_size: 16, shuffle: true, split: 0.2, ` + data + `}
loss: bce_with_logits
optimizer: {name: adam, lr: 0.01}
metrics: [accuracy]
epochs: 20
seed: 1
output: DIR/model.onnx
`
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	write("tokenizer: DIR/tokenizer.json, text: review, max_length: 9")
	r := ok(t, "train", config)
	require.Contains(t, r.out, "accuracy 1.0000")
	m, err := onnx.Open(filepath.Join(dir, "model.onnx"), onnx.DecodeOptions{})
	require.NoError(t, err)
	require.Equal(t, "input_ids", m.Graph.Inputs[0].Name)
	props := map[string]string{}
	for _, p := range m.Metadata {
		props[p.Key] = p.Value
	}
	require.Equal(t, "tokenizer.json", props["tokenizer"])
	require.Len(t, props["tokenizer_sha256"], 64)
	require.NoError(t, m.Close())
	// A model with masks and a fixed length.
	text := &textReader{tok: tok, column: "review", ids: "input_ids"}
	in := onnx.TensorType(tensor.Int64, onnx.Sizes(2, 12)...)
	in.Dims[0] = onnx.Name("batch")
	var inputs []data.Input
	for _, name := range []string{"input_ids", "attention_mask", "token_type_ids", "label"} {
		inputs = append(inputs, data.Input{Name: name, Type: in})
	}
	inputs[3].Type = onnx.UnrankedType(tensor.Float32)
	a, err := text.read(context.Background(), filepath.Join(dir, "train.csv"), inputs)
	require.NoError(t, err)
	require.Equal(t, []int{120, 12}, a["attention_mask"].Shape())
	e, err := tok.Encode("a fine stone 0", tokenizer.Options{})
	require.NoError(t, err)
	require.Equal(t, e.IDs, tensor.Data[int64](a["input_ids"])[:e.Len()])
	require.Equal(t, append(slices.Clone(e.AttentionMask), 0), tensor.Data[int64](a["attention_mask"])[:e.Len()+1])
	require.Equal(t, []int{120, 12}, a["token_type_ids"].Shape())
	require.Equal(t, 120, a["label"].Dim(0))
	for settings, want := range map[string]string{
		"tokenizer: DIR/tokenizer.json":                               "want both, a tokenizer.json and a column",
		"tokenizer: DIR/tokenizer.json, text: reviews":                `train.csv: there is no column "reviews", which data.text says is the text; the columns are review, label`,
		"tokenizer: DIR/train.csv, text: review":                      "train.csv",
		"tokenizer: DIR/tokenizer.json, text: review, max_length: 1":  "max_length is 1",
		"tokenizer: DIR/tokenizer.json, text: review, max_length: -1": "max_length is -1",
		"tokenizer: DIR/tokenizer.json, text: review, inputs: [a, b]": "name the one that takes the ids",
		"tokeniser: DIR/tokenizer.json, text: review":                 `did you mean "tokenizer"`,
	} {
		write(settings)
		r := gneiss(t, "train", config)
		require.NotZero(t, r.code, settings)
		require.Contains(t, r.err, want, settings)
	}
}
