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
	"github.com/gneiss-run/gneiss/internal/optest"
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
	a, err := text.read(context.Background(), sources{paths: []string{filepath.Join(dir, "train.csv")}}, inputs)
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

// Text in several files trains to the weights that it trains to in one.
func TestTrainTextFiles(t *testing.T) {
	dir := t.TempDir()
	saveReviews(t, dir)
	text, err := os.ReadFile(filepath.Join(dir, "train.csv"))
	require.NoError(t, err)
	lines := strings.SplitAfter(strings.TrimSpace(string(text)), "\n")
	for i := range lines[1:] { // classes by name, one of which the second file begins with
		lines[1+i] = strings.NewReplacer(",1\n", ",good\n", ",0\n", ",bad\n").Replace(strings.TrimSpace(lines[1+i]) + "\n")
	}
	save := func(name string, lines ...string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(strings.Join(lines, "")), 0o644))
	}
	save("all.csv", lines...)
	save("part-1.csv", lines[:52]...)
	save("part-2.csv", append([]string{"review,label\n"}, lines[52:]...)...)
	config, write := configFile(t, dir)
	train := func(from, more string) string {
		write(`
model: {name: text-rnn, embedding: 8, hidden: 8, classes: 1}
data: {train: ` + from + `, target: label, batch_size: 16, shuffle: true, split: 0.2, tokenizer: DIR/tokenizer.json, text: review, max_length: 9` + more + `}
loss: bce_with_logits
class_weights: balanced
optimizer: {name: adam, lr: 0.01}
metrics: [accuracy]
epochs: 2
seed: 1
output: DIR/model.onnx
save_weights: DIR/weights.npz
`)
		ok(t, "train", config)
		b, err := os.ReadFile(filepath.Join(dir, "weights.npz"))
		require.NoError(t, err)
		return string(b)
	}
	for _, more := range []string{"", ", stream: true"} {
		one := train("DIR/all.csv", more)
		require.Equal(t, one, train("[DIR/part-1.csv, DIR/part-2.csv]", more), "a list%s", more)
		require.Equal(t, one, train("DIR/part-*.csv", more), "a pattern%s", more)
	}
	failed := func(want string) {
		t.Helper()
		r := gneiss(t, "train", config)
		require.NotZero(t, r.code)
		require.Contains(t, r.err, want)
	}
	save("part-2.csv", "review,label\n", "a fine stone,\n")
	failed("part-2.csv, row 1: column \"label\", the target, has no value")
	save("part-2.csv", "text,label\n", "a fine stone,good\n")
	failed("part-2.csv: it has no column \"review\", which " + filepath.Join(dir, "part-1.csv") + " has")
	require.NoError(t, os.Remove(filepath.Join(dir, "part-1.csv")))
	require.NoError(t, os.Remove(filepath.Join(dir, "part-2.csv")))
	failed("part-*.csv: there is no such file")
}

// Arrays in JSON lines may be in several files, too.
func TestTrainSampleFiles(t *testing.T) {
	dir := t.TempDir()
	save := func(name string, from, to int) {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, "{\"x\": [%d, %d, 1], \"target\": %d}\n", i%7, i%5, i%2)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(b.String()), 0o644))
	}
	save("all.jsonl", 0, 60)
	save("a.jsonl", 0, 25)
	save("b.jsonl", 25, 60)
	config, write := configFile(t, dir)
	train := func(from, more string) string {
		write("model: {layers: [{linear: 2}]}\ndata: {train: " + from + ", inputs: [x], split: 0.2, shuffle: true" + more + "}\nloss: cross_entropy\noptimizer: {name: sgd, lr: 0.1}\n" +
			"epochs: 2\nseed: 1\noutput: DIR/model.onnx\nsave_weights: DIR/weights.npz\n")
		ok(t, "train", config)
		b, err := os.ReadFile(filepath.Join(dir, "weights.npz"))
		require.NoError(t, err)
		return string(b)
	}
	for _, more := range []string{"", ", stream: true"} {
		require.Equal(t, train("DIR/all.jsonl", more), train("[DIR/a.jsonl, DIR/b.jsonl]", more), more)
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "parts"), 0o755))
	for i := range 2 {
		x, y := optest.Normal(uint64(i), 30+i, 3), tensor.New(tensor.Int64, 30+i)
		f, err := os.Create(filepath.Join(dir, "parts", fmt.Sprint(i, ".npz")))
		require.NoError(t, err)
		require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: "x", Tensor: x}, {Name: "target", Tensor: y}}))
		require.NoError(t, f.Close())
	}
	for _, more := range []string{"", ", stream: true"} {
		require.Equal(t, train("DIR/parts", more), train("DIR/parts/*.npz", more), more)
	}
}
