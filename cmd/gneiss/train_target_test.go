package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// configFile returns the path of a configuration, and what writes it.
func configFile(t *testing.T, dir string) (string, func(text string)) {
	t.Helper()
	path := filepath.Join(dir, "c.yaml")
	return path, func(text string) {
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
}

// writePlane writes points with labels and numbers that follow from them.
func writePlane(t *testing.T, path string, from, to int) {
	t.Helper()
	var b strings.Builder
	b.WriteString("a,b,right,high,sum,product\n")
	for i := from; i < to; i++ {
		x, y := float64(i*37%101)/50-1, float64(i*61%103)/51-1
		fmt.Fprintf(&b, "%.3f,%.3f,%v,%d,%.4f,%.4f\n", x, y, strings.ToUpper(fmt.Sprint(x > 0.1)), map[bool]int{true: 1}[y > -0.3], x+y, 10*x-y)
	}
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
}

const planeConfig = `
model: {layers: [{linear: 24}, tanh, {linear: 2}]}
data: {train: DIR/train.csv, validation: DIR/val.csv, features: [a, b], target: [right, high], batch_size: 32, shuffle: true}
loss: bce_with_logits
optimizer: {name: adam, lr: 0.02}
metrics: [accuracy, exact_match, f1, auc]
epochs: 15
seed: 1
output: DIR/model.onnx
`

// Several targets of a table, of arrays and of images: labels and numbers.
func TestTrainTargets(t *testing.T) {
	dir := t.TempDir()
	writePlane(t, filepath.Join(dir, "train.csv"), 0, 800)
	writePlane(t, filepath.Join(dir, "val.csv"), 800, 1000)
	config, write := configFile(t, dir)
	model := filepath.Join(dir, "model.onnx")
	for _, stream := range []string{"", "stream: true, "} {
		write(strings.Replace(planeConfig, "features:", stream+"features:", 1))
		last := lastEpoch(t, ok(t, "train", config, "--json", "--set", "class_weights=balanced").out)
		assert.Greater(t, last.Metrics["exact_match"], 0.93)
		assert.Greater(t, last.Metrics["auc"], 0.99)
		e := evaluate(t, model, "--data", filepath.Join(dir, "val.csv"), "--metric", "exact_match", "--metric", "auc", "--metric", "f1")
		assert.Equal(t, []string{"right", "high"}, e.Targets)
		for name, v := range e.Metrics {
			assert.InDelta(t, last.Metrics[name], v, 1e-9, name)
		}
	}
	// right is true of 364 rows of 800, high is 1 of 520.
	counts := map[string]int{}
	text, err := os.ReadFile(filepath.Join(dir, "train.csv"))
	require.NoError(t, err)
	for _, row := range strings.Split(string(text), "\n")[1:] {
		if cells := strings.Split(row, ","); len(cells) > 3 {
			counts["right "+cells[2]]++
			counts["high "+cells[3]]++
		}
	}
	r := ok(t, "train", config, "--set", "class_weights=balanced", "--set", "epochs=1")
	assert.Contains(t, r.err, fmt.Sprintf("class weights: right %.4g, high %.4g", float64(counts["right FALSE"])/float64(counts["right TRUE"]),
		float64(counts["high 0"])/float64(counts["high 1"])))
	page := filepath.Join(dir, "report.html")
	ok(t, "train", config, "--set", "epochs=1", "--report", page)

	numbers := strings.NewReplacer("[right, high]", "[sum, product]", "bce_with_logits", "mse", "[accuracy, exact_match, f1, auc]", "[r2, mae]").Replace(planeConfig)
	write(numbers)
	last := lastEpoch(t, ok(t, "train", config, "--json", "--report", page).out)
	assert.Greater(t, last.Metrics["r2"], 0.98)
	e := evaluate(t, model, "--data", filepath.Join(dir, "val.csv"), "--target", "sum", "--target", "product", "--metric", "r2")
	assert.InDelta(t, last.Metrics["r2"], e.Metrics["r2"], 1e-6)

	// Arrays by name, one of which would do.
	saveSamples(t, filepath.Join(dir, "x.npz"), 300)
	raw, err := os.ReadFile(filepath.Join(dir, "x.npz"))
	require.NoError(t, err)
	arrays, err := tensor.ReadNPZ(bytes.NewReader(raw), int64(len(raw)), 1<<20)
	require.NoError(t, err)
	require.Equal(t, "y", arrays[1].Name)
	f, err := os.Create(filepath.Join(dir, "two.npz"))
	require.NoError(t, err)
	require.NoError(t, tensor.WriteNPZ(f, append(arrays, tensor.Named{Name: "z", Tensor: arrays[1].Tensor})))
	require.NoError(t, f.Close())
	write(strings.NewReplacer("train.csv", "two.npz", "validation: DIR/val.csv, features: [a, b]", "split: 0.2", "[right, high]", "[y, z]").Replace(planeConfig))
	r = ok(t, "train", config, "--json")
	assert.Greater(t, lastEpoch(t, r.out).Metrics["exact_match"], 0.75)
	e = evaluate(t, model, "--data", filepath.Join(dir, "two.npz"))
	assert.Equal(t, 300, e.Samples)

	saveStripeImages(t, filepath.Join(dir, "photos"), 40, 1)
	var table strings.Builder
	table.WriteString("file,lies,stands\n")
	for i := range 40 {
		lies := map[bool]string{true: "lying", false: "standing"}[i%2 == 0]
		fmt.Fprintf(&table, "%s/%03d.png,%v,%d\n", lies, i, i%2 == 0, i%2)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "photos.csv"), []byte(table.String()), 0o644))
	write(strings.NewReplacer("train: DIR/train", "train: DIR/photos.csv\n  images: DIR/photos\n  target: [lies, stands]", "cross_entropy", "bce_with_logits",
		"[accuracy]", "[exact_match]", "epochs: 12", "epochs: 40", "size: 16", "size: 16\n  batch_size: 10", "  batch_size: 20\n", "").Replace(picturesConfig))
	r = ok(t, "train", config, "--json", "--set", "class_weights=balanced")
	assert.Greater(t, lastEpoch(t, r.out).Metrics["exact_match"], 0.9)
	e = evaluate(t, model, "--data", filepath.Join(dir, "photos.csv"), "--images", filepath.Join(dir, "photos"), "--metric", "exact_match")
	assert.Equal(t, []string{"lies", "stands"}, e.Targets)
	assert.Greater(t, e.Metrics["exact_match"], 0.9)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.csv"), []byte("a,b,right,high\n1,2,true,1\n1,2,false,3\n"), 0o644))
	for want, text := range map[string]string{
		`target is ["right" "high"], and loss cross_entropy takes one`: strings.Replace(planeConfig, "bce_with_logits", "cross_entropy", 1),
		`"right" is empty or there twice`:                              strings.Replace(planeConfig, "right, high", "right, right", 1),
		`target is an empty list`:                                      strings.Replace(planeConfig, "right, high", "", 1),
		`there is no column "low", which is the target`:                strings.Replace(planeConfig, "right, high", "right, low", 1),
		`class_weights are for cross_entropy, nll and bce`:             numbers + "class_weights: balanced\n",
		`class_weights: for bce_with_logits want balanced`:             planeConfig + "class_weights: [1, 2]\n",
		`line 10: class_weights: want balanced, a list`:                planeConfig + "class_weights: even\n",
		`a sample with several targets has no class of its own`:        strings.Replace(planeConfig, "shuffle", "sampling: balanced, shuffle", 1),
		`validation: sample 2: "high" is 3, want 0 to 1`:               strings.Replace(planeConfig, "val.csv", "bad.csv", 1),
		`two.npz: there is no "w", a target: it has x, y, z`: strings.NewReplacer("train.csv", "two.npz", "validation: DIR/val.csv, features: [a, b]", "split: 0.2",
			"[right, high]", "[y, w]").Replace(planeConfig),
	} {
		write(text)
		r := gneiss(t, "train", config)
		assert.Equal(t, exitFailed, r.code, want)
		assert.Contains(t, r.err, want)
	}
}

// Labels of texts are words: classes are numbered by them, weighed, and named in the model.
func TestTrainTextLabels(t *testing.T) {
	dir := t.TempDir()
	saveReviews(t, dir)
	for _, name := range []string{"train.csv", "val.csv"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		named := regexp.MustCompile(`,1\n`).ReplaceAllString(string(text), ",positive\n")
		named = regexp.MustCompile(`,0\n`).ReplaceAllString(named, ",negative\n")
		if name == "train.csv" {
			named += strings.Repeat("\"neither fine nor dull\",mixed\n", 10)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(named), 0o644))
	}
	config, write := configFile(t, dir)
	model := filepath.Join(dir, "model.onnx")
	three := strings.NewReplacer("classes: 1", "classes: 3", "bce_with_logits", "cross_entropy", ", auc", "", "epochs: 1", "epochs: 20", "0.001", "0.01").Replace(reviewsConfig)
	for _, more := range []string{"", ", stream: true, max_length: 9"} {
		write(strings.Replace(three, "text: review", "text: review"+more, 1))
		r := ok(t, "train", config, "--json", "--set", "class_weights=balanced")
		assert.Contains(t, r.err, "train.csv: 130 rows: mixed 10, negative 60, positive 60")
		assert.Greater(t, lastEpoch(t, r.out).Metrics["accuracy"], 0.95)
		m, err := onnx.Open(model, onnx.DecodeOptions{})
		require.NoError(t, err)
		assert.JSONEq(t, `["mixed", "negative", "positive"]`, metadataOf(m, classesKey))
		assert.JSONEq(t, `["label"]`, metadataOf(m, targetsKey))
		require.NoError(t, m.Close())
		e := evaluate(t, model, "--data", filepath.Join(dir, "val.csv"))
		assert.Equal(t, []string{"mixed", "negative", "positive"}, e.Classes)
		assert.InDelta(t, lastEpoch(t, r.out).Metrics["accuracy"], e.Metrics["accuracy"], 1e-9)
	}
	assert.Contains(t, ok(t, "eval", model, "--data", filepath.Join(dir, "val.csv")).out, "40 samples, classes mixed, negative, positive")
	// n/(k·count), as compute_class_weight("balanced") of scikit-learn has it.
	r := ok(t, "train", config, "--set", "class_weights=balanced", "--set", "epochs=1")
	assert.Contains(t, r.err, "class weights: mixed 4.333, negative 0.7222, positive 0.7222")
	r = ok(t, "train", config, "--set", "class_weights={mixed: 3}", "--set", "epochs=1")
	assert.Contains(t, r.err, "class weights: mixed 3, negative 1, positive 1")
	write(three)
	ok(t, "train", config, "--set", "data.sampling=balanced", "--set", "epochs=1")

	// Two classes are one logit.
	text, err := os.ReadFile(filepath.Join(dir, "train.csv"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "both.csv"), []byte(strings.ReplaceAll(string(text), "\"neither fine nor dull\",mixed\n", "")), 0o644))
	two := strings.NewReplacer("train.csv", "both.csv", "classes: 3", "classes: 1", "cross_entropy", "bce_with_logits", "text: review", "text: review, max_length: 9").Replace(three)
	write(two)
	r = ok(t, "train", config, "--json", "--set", "epochs=20")
	assert.Greater(t, lastEpoch(t, r.out).Metrics["accuracy"], 0.95)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.csv"), []byte("review,label\nfine,positive\ndull,bad\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "gap.csv"), []byte("review,label\nfine,positive\ndull,\n"), 0o644))
	for want, text := range map[string]string{
		`bad.csv, row 2: column "label": "bad" is no class of the model: these are mixed, negative, positive`: strings.Replace(three, "val.csv", "bad.csv", 1),
		`gap.csv, row 2: column "label", the target, has no value`:                                            strings.Replace(three, "train.csv", "gap.csv", 1),
		`has 3 classes (mixed, negative, positive), and the model's output has scores of 2`:                   strings.Replace(three, "classes: 3", "classes: 2", 1),
		`has 3 classes (mixed, negative, positive), and the model's output is 1 wide`:                         strings.Replace(two, "both.csv", "train.csv", 1),
		`there is no class "mild"; there are mixed, negative, positive`:                                       three + "class_weights: {mild: 2}\n",
		`model: vocab is 20, and DIR/tokenizer.json has 60 tokens`:                                            strings.Replace(three, "vocab: 60", "vocab: 20", 1),
		`line 2: model: layers of bert: want their number`:                                                    strings.Replace(three, "name: text-rnn", "layers: [relu], name: bert", 1),
		`line 2: model: layers: want a list`:                                                                  strings.Replace(three, "name: text-rnn, vocab: 60, embedding: 16, hidden: 16, classes: 3", "layers: 2", 1),
		`class_weights: 2 numbers, and the model's output has 3 classes`:                                      three + "class_weights: [1, 2]\n",
		`column "label": "positive" is no float32`:                                                            strings.Replace(two, "both.csv, validation: DIR/val.csv", "train.csv, split: 0.2", 1) + "\n",
		`sampling draws from all samples`:                                                                     strings.Replace(three, "text: review", "text: review, max_length: 9, stream: true, sampling: balanced", 1),
	} {
		if strings.Contains(want, "is no float32") {
			text = strings.Replace(text, "loss: bce_with_logits", "loss: mse", 1)
			text = strings.Replace(text, "metrics: [accuracy]", "metrics: [mse]", 1)
		}
		write(text)
		r := gneiss(t, "train", config)
		assert.Equal(t, exitFailed, r.code, want)
		assert.Contains(t, r.err, strings.ReplaceAll(want, "DIR", dir))
	}
	// A ready model whose layers are a number, with as many words as the tokenizer has.
	write(strings.Replace(three, "name: text-rnn, vocab: 60, embedding: 16, hidden: 16", "name: bert, layers: 1, length: 30, embedding: 16, heads: 2, pad: 0", 1))
	ok(t, "train", config, "--set", "epochs=1", "--set", "output="+dir+"/bert.onnx")
	m, err := onnx.Open(filepath.Join(dir, "bert.onnx"), onnx.DecodeOptions{})
	require.NoError(t, err)
	defer m.Close()
	tables := 0
	for _, v := range m.Graph.Consts {
		if v.Const.Rank() == 2 && v.Const.Dim(0) == 60 && v.Const.Dim(1) == 16 {
			tables++
		}
	}
	assert.Equal(t, 1, tables)
	r = gneiss(t, "eval", model, "--data", filepath.Join(dir, "bad.csv"))
	assert.Contains(t, r.err, `bad.csv, row 2: column "label": "bad" is no class`)
}

// Cross-validation: every sample is validated on once; the last line says how the results spread.
func TestTrainFolds(t *testing.T) {
	dir := t.TempDir()
	saveSamples(t, filepath.Join(dir, "train.npz"), 400)
	writePeople(t, filepath.Join(dir, "people.csv"), 0, 400)
	config, write := configFile(t, dir)
	ring := strings.NewReplacer("validation: DIR/val.npz, ", "", "lr: 0.02", "lr: 0.08", "epochs: 15", "epochs: 6\nfolds: 4", "tensorboard: DIR/events\n", "").Replace(ringConfig)
	write(ring)
	run := func(args ...string) (foldsResult, []string) {
		lines := strings.Split(strings.TrimSpace(ok(t, append([]string{"train", config, "--json"}, args...)...).out), "\n")
		var r foldsResult
		require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &r))
		return r, lines
	}
	r, lines := run()
	require.Len(t, lines, 5*6+1)
	assert.Contains(t, lines[23], `"fold":4,"epoch":6,`)
	assert.NotContains(t, lines[24], "fold")
	require.Len(t, r.Metrics["accuracy"].Values, 4)
	sum, squares := 0.0, 0.0
	for i, v := range r.Metrics["accuracy"].Values {
		var e toldEpoch
		require.NoError(t, json.Unmarshal([]byte(lines[6*i+5]), &e))
		assert.Equal(t, e.Metrics["accuracy"], v)
		sum, squares = sum+v, squares+v*v
	}
	assert.InDelta(t, sum/4, r.Metrics["accuracy"].Mean, 1e-12)
	assert.InDelta(t, squares/4-sum*sum/16, r.Metrics["accuracy"].Std*r.Metrics["accuracy"].Std, 1e-12)
	assert.Greater(t, r.Metrics["accuracy"].Mean, 0.75)
	m, err := onnx.Open(filepath.Join(dir, "model.onnx"), onnx.DecodeOptions{})
	require.NoError(t, err)
	var kept map[string]float64
	require.NoError(t, json.Unmarshal([]byte(metadataOf(m, "metrics")), &kept))
	assert.Equal(t, r.Metrics["accuracy"].Mean, kept["accuracy"])
	require.NoError(t, m.Close())

	// It goes on where it was: the second fold has two epochs, the third none.
	whole, err := os.ReadFile(filepath.Join(dir, "model.onnx"))
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "run", "fold-3")))
	again, lines := run("--resume", filepath.Join(dir, "run"))
	assert.Equal(t, r, again)
	require.Len(t, lines, 6+1)
	after, err := os.ReadFile(filepath.Join(dir, "model.onnx"))
	require.NoError(t, err)
	assert.Equal(t, whole, after)

	// Tables are fitted on each training part; classes are in the same shares. Streams go by hashes.
	people := strings.NewReplacer("train: DIR/part-*.csv", "train: DIR/people.csv", "  validation: DIR/val.csv\n", "", "epochs: 20", "epochs: 4\nfolds: 3", "output: DIR/model.onnx\n", "").Replace(peopleConfig)
	write(people)
	r, lines = run()
	require.Len(t, lines, 3*4+1, "without an output no further model")
	assert.Greater(t, r.Metrics["accuracy"].Mean, 0.8)
	told := ok(t, "train", config, "--set", "epochs=1")
	rows := 0
	for _, found := range regexp.MustCompile(`validation: (\d+) of (\d+) rows`).FindAllStringSubmatch(told.err, -1) {
		var n int
		_, err := fmt.Sscan(found[2], &n)
		require.NoError(t, err)
		assert.InDelta(t, 133.3, n, 1)
		rows += n
	}
	assert.Equal(t, 400, rows)
	assert.Regexp(t, `3 folds: validation [0-9.]+ ± [0-9.]+, accuracy 0\.[0-9]+ ± 0\.[0-9]+`, told.out)
	r, _ = run("--set", "data.stream=true", "--set", "class_weights=balanced", "--set", "patience=2")
	assert.Greater(t, r.Metrics["accuracy"].Mean, 0.8)

	// With patience the last run takes as many epochs as the folds' best ones, in the mean.
	write(people + "output: DIR/model.onnx\n")
	_, lines = run("--set", "patience=1", "--set", "monitor=accuracy", "--set", "epochs=6")
	last := 0
	for _, line := range lines[:len(lines)-1] {
		var e toldEpoch
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		if e.Fold == 0 {
			last++
		}
	}
	assert.True(t, last >= 1 && last <= 6, last)

	for want, text := range map[string]string{
		"folds is 1, want 2 to 1000":             strings.Replace(ring, "folds: 4", "folds: 1", 1),
		"leave out data.validation and data":     strings.Replace(ring, "target: y", "target: y, split: 0.2", 1),
		"fold 1: ":                               strings.Replace(ring, "target: y", "target: z", 1),
		"people.csv: folds: train: 500 folds of": strings.Replace(people, "folds: 3", "folds: 500", 1),
		"output is missing":                      people + "history: DIR/h.csv\n",
	} {
		write(text)
		r := gneiss(t, "train", config)
		assert.Equal(t, exitFailed, r.code, want)
		assert.Contains(t, r.err, want)
	}
	write(ring)
	assert.Contains(t, gneiss(t, "train", config, "--resume", dir).err, "there is no folder fold-1 in it")
}
