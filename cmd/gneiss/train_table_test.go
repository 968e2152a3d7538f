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

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
)

// writePeople writes a table whose label follows from two columns, with values that
// are missing and one that is far off.
func writePeople(t *testing.T, path string, from, to int) {
	t.Helper()
	var b strings.Builder
	b.WriteString("id,city,income,label\n")
	for i := from; i < to; i++ {
		city, income, label := []string{"Rome", "Oslo", "Lima"}[i*7%3], 1000+i*7919%4000, "poor"
		if income+1000*(i*7%3) > 4000 {
			label = "rich"
		}
		text := fmt.Sprint(income)
		switch {
		case i%40 == 3:
			text = ""
		case i%90 == 4:
			text = "90000000"
		}
		fmt.Fprintf(&b, "%d,%s,%s,%s\n", i, city, text, label)
	}
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
}

const peopleConfig = `
model: {layers: [{linear: 16}, relu, {linear: 2}]}
data:
  train: DIR/part-*.csv
  validation: DIR/val.csv
  target: label
  features: [city, income]
  clean: {missing: median, outliers: clip}
  normalize: standard
  shuffle: true
loss: cross_entropy
optimizer: {name: adam, lr: 0.02}
metrics: [accuracy]
epochs: 20
seed: 1
output: DIR/model.onnx
`

func TestTrainTable(t *testing.T) {
	dir := t.TempDir()
	writePeople(t, filepath.Join(dir, "part-1.csv"), 0, 500)
	writePeople(t, filepath.Join(dir, "part-2.csv"), 500, 900)
	writePeople(t, filepath.Join(dir, "val.csv"), 900, 1200)
	config, model := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "model.onnx")
	write := func(text string) {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	write(peopleConfig)
	r := ok(t, "train", config, "--json")
	assert.Contains(t, r.err, "gneiss: training: 900 of 900 rows; missing values: income 23; clipped: income 10")
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	var last struct {
		Metrics map[string]float64 `json:"metrics"`
	}
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	assert.Greater(t, last.Metrics["accuracy"], 0.9)

	// The model takes the raw columns; on the raw table it is as good.
	m, err := onnx.Open(model, onnx.DecodeOptions{})
	require.NoError(t, err)
	defer m.Close()
	in := data.InputsOf(m)
	require.Len(t, in, 2)
	assert.Equal(t, "income", in[0].Name)
	assert.Equal(t, "city", in[1].Name)
	meta := map[string]string{}
	for _, p := range m.Metadata {
		meta[p.Key] = p.Value
	}
	assert.JSONEq(t, `["poor", "rich"]`, meta["classes"])
	assert.JSONEq(t, `["income", "city=Lima", "city=Oslo", "city=Rome"]`, meta["features"])
	assert.Contains(t, meta["training_config"], "normalize: standard")
	assert.NotContains(t, meta["training_config"], "output")
	e := ok(t, "eval", model, "--data", filepath.Join(dir, "val.csv"), "--target", "label", "--json")
	var eval evalResult
	require.NoError(t, json.Unmarshal([]byte(e.out), &eval))
	assert.Equal(t, 300, eval.Samples)
	assert.InDelta(t, last.Metrics["accuracy"], eval.Metrics["accuracy"], 1e-9)
	ok(t, "check", model)

	// Of what names rows it warns.
	assert.NotContains(t, r.err, "leave it out")
	write(strings.Replace(peopleConfig, "[city, income]", "[city, income, id]\n  categorical: [id]", 1))
	r = ok(t, "train", config, "--set", "epochs=1")
	assert.Contains(t, r.err, `column "id" has 900 categories in 900 rows: if it names them, leave it out`)

	// Without the preprocessing it takes features; a part of the rows validates.
	write(strings.Replace(peopleConfig, "validation: DIR/val.csv", "split: 0.25", 1))
	r = ok(t, "train", config, "--set", "data.preprocess=none", "--set", "data.clean.duplicates=drop", "--set", "epochs=1")
	assert.Contains(t, r.err, "training: 664 of 675 rows; rows dropped: duplicates 11")
	assert.Contains(t, r.err, "validation: 217 of 225 rows")
	plain, err := onnx.Open(model, onnx.DecodeOptions{})
	require.NoError(t, err)
	defer plain.Close()
	assert.Equal(t, "features", data.InputsOf(plain)[0].Name)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "bad.csv"), []byte("city,income,label\nRome,1,poor\nRome,2,middling\n"), 0o644))
	for want, text := range map[string]string{
		`data: clean: unknown key "mising"; did you mean "missing"?`: strings.Replace(peopleConfig, "missing:", "mising:", 1),
		`outliers is "clipp", want one of clip, drop`:                strings.Replace(peopleConfig, "clip}", "clipp}", 1),
		`duplicates is "yes", want drop`:                             strings.Replace(peopleConfig, "clip}", "clip, duplicates: yes}", 1),
		`preprocess is "expert", want export or none`:                strings.Replace(peopleConfig, "shuffle: true", "preprocess: expert", 1),
		`there is no column "towns"`:                                 strings.Replace(peopleConfig, "[city,", "[towns,", 1),
		`part-1.csv, row 4: column "income" has no value`:            strings.Replace(peopleConfig, "missing: median, ", "", 1),
		`bad.csv, row 2: column "label": "middling" is no class`:     strings.Replace(peopleConfig, "val.csv", "bad.csv", 1),
		`there is no such file`:                                      strings.Replace(peopleConfig, "part-*", "parts-*", 1),
	} {
		write(text)
		r := gneiss(t, "train", config)
		assert.Equal(t, exitFailed, r.code, want)
		assert.Contains(t, r.err, want)
	}
	r = gneiss(t, "eval", model, "--data", filepath.Join(dir, "bad.csv"), "--target", "label")
	assert.Equal(t, exitFailed, r.code)
}

// MNIST's files are arrays by name; JSON lines hold arrays.
func TestTrainArrays(t *testing.T) {
	dir := t.TempDir()
	x, y := []byte{0, 0, 8, 3, 0, 0, 0, 60, 0, 0, 0, 2, 0, 0, 0, 2}, []byte{0, 0, 8, 1, 0, 0, 0, 60}
	var lines strings.Builder
	for i := range 60 {
		a, b := byte(i*37), byte(i*91)
		x, y = append(x, a, b, b, a), append(y, a>>7)
		fmt.Fprintf(&lines, "{\"x\": [[%d, %d], [%d, %d]], \"y\": %d}\n", a, b, b, a, a>>7)
	}
	for name, b := range map[string][]byte{"x-idx3-ubyte": x, "y-idx1-ubyte": y, "all.jsonl": []byte(lines.String())} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
	}
	config := filepath.Join(dir, "c.yaml")
	text := "model: {layers: [flatten, {linear: 2}]}\ndata: {train: TRAIN, inputs: [x], target: y, split: 0.2}\nloss: cross_entropy\n" +
		"optimizer: {name: adam, lr: 0.001}\nmetrics: [accuracy]\nepochs: 2\noutput: DIR/m.onnx\n"
	for _, from := range []string{"{x: DIR/x-idx3-ubyte, y: DIR/y-idx1-ubyte}", "DIR/all.jsonl"} {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(strings.Replace(text, "TRAIN", from, 1), "DIR", dir)), 0o644))
		r := ok(t, "train", config)
		assert.Contains(t, r.out, "epoch 2/2", from)
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "y-idx1-ubyte"), y[:len(y)-1], 0o644))
	require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(strings.Replace(text, "TRAIN", "{x: DIR/x-idx3-ubyte, y: DIR/y-idx1-ubyte}", 1), "DIR", dir)), 0o644))
	assert.Contains(t, gneiss(t, "train", config).err, "y-idx1-ubyte: 59 bytes, a uint8 of shape [60] has 60")
}
