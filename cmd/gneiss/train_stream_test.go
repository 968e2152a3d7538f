package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTrainStream trains on tables, arrays and texts that are read one after the other.
func TestTrainStream(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "c.yaml")
	write := func(text string) {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	// A table of features: the same rows are cleaned and split off as in memory.
	writePeople(t, filepath.Join(dir, "part-1.csv"), 0, 700)
	writePeople(t, filepath.Join(dir, "part-2.csv"), 700, 1500)
	people := strings.Replace(peopleConfig, "validation: DIR/val.csv", "split: 0.2", 1)
	write(people)
	told := ok(t, "train", config, "--set", "epochs=1").err
	page := filepath.Join(dir, "r.html")
	r := ok(t, "train", config, "--json", "--set", "data.stream.buffer=300", "--report", page, "--set", "save_weights="+dir+"/a.npz", "--set", "checkpoint="+dir+"/run")
	assert.Greater(t, lastEpoch(t, r.out).Metrics["accuracy"], 0.9)
	assert.Contains(t, r.err, "training: 1200 of 1200 rows; missing values: income")
	for _, line := range strings.Split(strings.TrimSpace(told), "\n") {
		if strings.HasPrefix(line, "gneiss: ") {
			assert.Contains(t, r.err, line)
		}
	}
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Contains(t, string(html), "1200, 38 batches of 32 an epoch")
	// An interrupted run goes on to the same weights.
	runs, err := filepath.Glob(filepath.Join(dir, "run", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, runs)
	middle := filepath.Join(dir, "middle")
	ok(t, "train", config, "--set", "data.stream.buffer=300", "--set", "epochs=11", "--set", "checkpoint="+middle)
	ok(t, "train", config, "--set", "data.stream.buffer=300", "--set", "checkpoint="+middle, "--resume", middle, "--set", "save_weights="+dir+"/b.npz")
	a, err := os.ReadFile(dir + "/a.npz")
	require.NoError(t, err)
	b, err := os.ReadFile(dir + "/b.npz")
	require.NoError(t, err)
	assert.Equal(t, a, b, "weights of a run that went on")

	// A folder of arrays, which are augmented.
	require.NoError(t, os.Mkdir(filepath.Join(dir, "parts"), 0o755))
	for i := range 4 {
		saveStripes(t, filepath.Join(dir, "parts", fmt.Sprint(i, ".npz")), 40+i)
	}
	saveStripes(t, filepath.Join(dir, "val.npz"), 60)
	arrays := strings.Replace(stripesConfig, "train: DIR/train.npz", "train: DIR/parts\n  stream: true", 1)
	write(arrays)
	r = ok(t, "train", config, "--json", "--set", "epochs=8", "--report", page)
	assert.Greater(t, lastEpoch(t, r.out).Metrics["accuracy"], 0.95)
	html, err = os.ReadFile(page)
	require.NoError(t, err)
	assert.Regexp(t, regexp.MustCompile(`166, 11 batches of 16 an epoch`), string(html))
	ok(t, "train", config, "--set", "epochs=1", "--set", "data.augment=[{normalize: {mean: [0.5], std: [0.5]}}]", "--set", "export={pixels: float32}")

	// Text, padded to its bound.
	saveReviews(t, dir)
	reviews := strings.Replace(reviewsConfig, "text: review}", "text: review, max_length: 9, stream: {buffer: 50}}", 1)
	write(reviews)
	r = ok(t, "train", config, "--json", "--set", "epochs=20", "--set", "optimizer.lr=0.01")
	assert.Greater(t, lastEpoch(t, r.out).Metrics["accuracy"], 0.95)
	e := evaluate(t, filepath.Join(dir, "model.onnx"), "--data", filepath.Join(dir, "val.csv"), "--target", "label")
	assert.InDelta(t, lastEpoch(t, r.out).Metrics["accuracy"], e.Metrics["accuracy"], 1e-9)

	// A part of the samples is held for validation, by their numbers: the same ones each time, none of them trained on.
	for name, text := range map[string]string{
		"reviews": strings.NewReplacer("validation: DIR/val.csv", "split: 0.25", "epochs: 1", "epochs: 20", "0.001", "0.01").Replace(reviews),
		"arrays":  strings.NewReplacer("validation: DIR/val.npz", "split: 0.25", "epochs: 6", "epochs: 8").Replace(arrays),
	} {
		write(text)
		r := ok(t, "train", config, "--json", "--report", page)
		assert.Greater(t, lastEpoch(t, r.out).Metrics["accuracy"], 0.9, name)
		assert.Equal(t, lastEpoch(t, r.out).ValidationLoss, lastEpoch(t, ok(t, "train", config, "--json", "--set", "threads=1").out).ValidationLoss, name)
		html, err = os.ReadFile(page)
		require.NoError(t, err)
		parts := regexp.MustCompile(`(\d+), \d+ batches of 16 an epoch|validation samples</[^>]*><[^>]*>(\d+)`).FindAllStringSubmatch(string(html), -1)
		require.Len(t, parts, 2, name)
		trained, err := strconv.Atoi(parts[0][1])
		require.NoError(t, err)
		held, err := strconv.Atoi(parts[1][2])
		require.NoError(t, err)
		all := map[string]int{"reviews": 120, "arrays": 166}[name]
		assert.Equal(t, all, trained+held, name)
		assert.InDelta(t, 0.25, float64(held)/float64(all), 0.08, name)
	}
	// A student of a teacher, which sees what augmentation does not change.
	learn := strings.NewReplacer(", {mixup: 0.2}", "", "validation: DIR/val.npz", "split: 0.25", "loss: {name: cross_entropy, label_smoothing: 0.02}\n", "", "DIR/model.onnx", "DIR/student.onnx",
		"metrics: [accuracy]\n", "", ", {normalize: {mean: [0.5], std: [0.5]}}", "").Replace(arrays)
	write(strings.Replace(arrays, "{flip: 0.5}, {crop: 1}, {rotate: 5}, {color: {brightness: 0.2}}, {normalize: {mean: [0.5], std: [0.5]}}, {mixup: 0.2}", "{flip: 0.5}", 1))
	ok(t, "train", config, "--set", "epochs=8")
	write(learn + "teacher: {model: DIR/model.onnx, temperature: 2}\n")
	first := ok(t, "distill", config, "--json", "--set", "epochs=8")
	e = evaluate(t, filepath.Join(dir, "student.onnx"), "--data", filepath.Join(dir, "val.npz"), "--target", "y")
	assert.Greater(t, e.Metrics["accuracy"], 0.9)
	for _, data := range []string{"validation: DIR/val.npz", "split: 0.2"} { // beside the targets, and with others' validation
		write(strings.NewReplacer(", {mixup: 0.2}", "", "validation: DIR/val.npz", data).Replace(arrays) + "teacher: {model: DIR/model.onnx, temperature: 2, alpha: 0.5}\n")
		assert.Greater(t, lastEpoch(t, ok(t, "distill", config, "--json", "--set", "epochs=8", "--set", "output="+dir+"/student.onnx").out).Metrics["accuracy"], 0.9)
	}
	write(learn + "teacher: {model: DIR/model.onnx, temperature: 2}\n")
	assert.Equal(t, lastEpoch(t, first.out).ValidationLoss, lastEpoch(t, ok(t, "distill", config, "--json", "--set", "epochs=8", "--set", "threads=1", "--set", "data.prefetch=5").out).ValidationLoss)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.csv"), []byte("city,income,label\nRome,1,poor\nOslo,2000,rich\nRome,x,poor\n"), 0o644))
	for want, text := range map[string]string{
		"max_length is missing":                       strings.Replace(reviews, ", max_length: 9", "", 1),
		"data: split leaves no sample to validate on": strings.Replace(arrays, "validation: DIR/val.npz", "split: 1e-9", 1),
		"buffer is 0":                                 strings.Replace(reviews, "buffer: 50", "buffer: 0", 1),
		`unknown key "bufer"`:                         strings.Replace(reviews, "buffer: 50", "bufer: 50", 1),
		"arrays by name":                              strings.Replace(arrays, "train: DIR/parts", "train: {x: DIR/x.npy, y: DIR/y.npy}", 1),
		"images are read when":                        strings.Replace(picturesConfig, "size: 16", "size: 16\n  stream: true", 1),
		`row 3: column "income"`:                      strings.Replace(people, "DIR/part-*.csv", "DIR/bad.csv\n  stream: true\n  numeric: [income]", 1),
	} {
		write(text)
		r := gneiss(t, "train", config)
		assert.Equal(t, exitFailed, r.code, want)
		assert.Contains(t, r.err, want)
	}
}
