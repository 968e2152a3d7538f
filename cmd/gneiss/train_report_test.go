package main

import (
	"encoding/json"
	"encoding/xml"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train"
)

func TestTrainReport(t *testing.T) {
	dir := t.TempDir()
	saveStripes(t, filepath.Join(dir, "train.npz"), 100)
	saveStripes(t, filepath.Join(dir, "val.npz"), 60)
	config, page := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "report.html")
	write := func(text string) {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	read := func() string {
		b, err := os.ReadFile(page)
		require.NoError(t, err)
		return string(b)
	}
	write(stripesConfig + "history: DIR/h.json\nplots: DIR/plots\nmetrics: [accuracy, perplexity]\n")
	assert.Contains(t, gneiss(t, "train", config).err, "metrics")
	write(strings.Replace(stripesConfig, "metrics: [accuracy]", "metrics: [accuracy, perplexity]", 1) + "history: DIR/h.json\nplots: DIR/plots\n")
	ok(t, "train", config, "--report", page, "--set", "epochs=5")
	b, err := os.ReadFile(filepath.Join(dir, "h.json"))
	require.NoError(t, err)
	var h train.History
	require.NoError(t, json.Unmarshal(b, &h))
	require.Len(t, h.Epochs, 5)
	require.Len(t, h.Batches, 5*7)
	require.Positive(t, *h.Batches[3].GradNorm)
	html := read()
	for _, want := range []string{"5 epochs in", "<td>Conv</td>", "Learning rate", "Norm of the gradients", "predicted class", "Samples with the largest errors",
		"training samples</td><td>100, 7 batches of 16 an epoch", "epochs: 5", "mixup: 0.2", "<td>perplexity</td>", "instruction set"} {
		assert.Contains(t, html, want)
	}
	// The confusion matrix has every sample, and the accuracy of the page is that of the model.
	eval := ok(t, "eval", filepath.Join(dir, "model.onnx"), "--data", filepath.Join(dir, "val.npz"), "--target", "y", "--json")
	assert.NotEmpty(t, eval.out)
	sum := 0
	for _, m := range regexp.MustCompile(`<title>(\d+) of \d+ of class`).FindAllStringSubmatch(html, -1) {
		n := 0
		require.NoError(t, json.Unmarshal([]byte(m[1]), &n))
		sum += n
	}
	assert.Equal(t, 60, sum)
	plots, err := filepath.Glob(filepath.Join(dir, "plots", "*.svg"))
	require.NoError(t, err)
	assert.Len(t, plots, 7)
	for _, p := range plots {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		var v struct{ XMLName xml.Name }
		require.NoError(t, xml.Unmarshal(b, &v), p)
		assert.Equal(t, "svg", v.XMLName.Local)
	}

	images, err := filepath.Glob(filepath.Join(dir, "plots", "*.png"))
	require.NoError(t, err)
	assert.Len(t, images, 7)

	// Numbers instead of classes, and no validation data.
	saveSamples(t, filepath.Join(dir, "points.npz"), 200)
	points := strings.NewReplacer("DIR/train.npz", "DIR/points.npz", "DIR/val.npz", "DIR/points.npz", "checkpoint: DIR/run\n", "").Replace(ringConfig)
	write(strings.NewReplacer("bce_with_logits", "mse", "[accuracy, auc]", "[mae, r2]").Replace(points))
	ok(t, "train", config, "--report", page, "--set", "epochs=2")
	html = read()
	assert.Contains(t, html, "squared error")
	assert.NotContains(t, html, "predicted class")
	write(points)
	ok(t, "train", config, "--report", page, "--set", "epochs=2")
	assert.Contains(t, read(), "predicted class")
	write(strings.NewReplacer(", validation: DIR/points.npz", "", "metrics: [accuracy, auc]\n", "").Replace(points))
	ok(t, "train", config, "--report", page, "--set", "epochs=1")
	assert.NotContains(t, read(), "largest errors")

	write(strings.Replace(points, "validation: DIR/points.npz", "split: 0.1", 1))
	ok(t, "train", config, "--report", page, "--set", "epochs=1")
	html = read()
	assert.Contains(t, html, "split from")
	most := 0
	for _, m := range regexp.MustCompile(`<tr><td class="n">(\d+)</td><td class="n">[^<]*</td><td>[01]</td><td>[01]</td></tr>`).FindAllStringSubmatch(html, -1) {
		n := 0
		require.NoError(t, json.Unmarshal([]byte(m[1]), &n))
		most = max(most, n)
	}
	assert.Greater(t, most, 20, "numbers in the file, not in its part of 20 samples")

	write(points + "history: DIR/h.txt\n")
	assert.Contains(t, gneiss(t, "train", config).err, `h.txt", want a name that ends in .json or .csv`)
	write(points)
	assert.Contains(t, gneiss(t, "train", config, "--report", filepath.Join(dir, "none", "r.html")).err, "--report")
}

func TestSampleErrors(t *testing.T) {
	m := &sampleErrors{classes: true}
	require.NoError(t, m.Add(tensor.Of([]float32{0, 2, 1, 5, 0, 0}, 2, 3), tensor.Of([]int64{1, 2}, 2)))
	require.NoError(t, m.Add(tensor.Of([]float32{1, 0, 0}, 1, 3), tensor.Of([]int64{0}, 1)))
	worst := m.worst(2)
	require.Equal(t, []int{1, 2, 0, 1}, []int{worst[0].Index, worst[0].Target, worst[0].Guess, worst[0].Positions})
	require.InDelta(t, math.Log(math.Exp(5)+2), worst[0].Loss, 1e-9)
	require.Equal(t, 2, worst[1].Index)
	// Two positions of a sample, and a target that does not count.
	m.Reset()
	require.NoError(t, m.Add(tensor.Of([]float32{0, 1, 1, 0, 3, 0, 0, 0}, 2, 2, 2), tensor.Of([]int64{1, 1, 0, -1}, 2, 2)))
	require.Equal(t, []int{2, 1}, []int{m.all[0].Positions, m.all[0].Hits})
	require.Equal(t, 1, m.all[1].Hits)
	r := &sampleErrors{}
	require.NoError(t, r.Add(tensor.Of([]float32{1, 2, 3, 4}, 2, 2), tensor.Of([]float32{1, 4, 3, 4}, 2, 2)))
	require.InDelta(t, 2, r.all[0].Loss, 1e-9)
	require.NoError(t, r.Add(tensor.Of([]float32{1, 2, 3}, 3), tensor.Of([]float32{1, 4}, 2)))
	require.Empty(t, r.worst(9))

	c := perClass([][]int{{3, 1}, {2, 4}})
	require.Equal(t, classFigures{0, 4, 0.6, 0.75, 6. / 9}, c[0])
	require.Equal(t, classFigures{1, 6, 0.8, 4. / 6, 8. / 11}, c[1])
}

func TestThin(t *testing.T) {
	x, y := make([]float64, 5000), make([]float64, 5000)
	for i := range x {
		x[i], y[i] = float64(i), math.Sin(float64(i))
	}
	y[3210], y[77] = 9, math.NaN()
	px, py := thin(x, y)
	require.LessOrEqual(t, len(px), curvePoints)
	require.IsIncreasing(t, px)
	require.Contains(t, py, 9.0)
	require.Empty(t, curves([]curve{{name: "none"}}, "x", "y"))
	require.Contains(t, curves([]curve{{name: "<a>", x: []float64{1}, y: []float64{0}}, {name: "b", x: []float64{1}, y: []float64{2}}}, "x", "y"), "&lt;a&gt;")
}
