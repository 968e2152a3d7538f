package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
)

// saveStripeImages writes n images, of several sizes and colours, of stripes that lie or stand, in a folder
// for each class.
func saveStripeImages(t *testing.T, dir string, n int, seed uint64) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		class := []string{"lying", "standing"}[i%2]
		img := image.NewNRGBA(image.Rect(0, 0, 20+r.IntN(30), 20+r.IntN(30)))
		colours := [2]color.NRGBA{{uint8(r.IntN(90)), uint8(r.IntN(90)), uint8(r.IntN(90)), 255}, {uint8(120 + r.IntN(130)), uint8(120 + r.IntN(130)), 200, 255}}
		phase := r.IntN(100)
		for y := range img.Rect.Dy() {
			for x := range img.Rect.Dx() {
				at, size := y, img.Rect.Dy()
				if class == "standing" {
					at, size = x, img.Rect.Dx()
				}
				img.SetNRGBA(x, y, colours[(at*8/size+phase)%2])
			}
		}
		savePNG(t, filepath.Join(dir, class, fmt.Sprintf("%03d.png", i)), img)
	}
}

// saveTurned writes the images of a folder as JPEG files that are stored lying on their side, with Exif data that say so.
func saveTurned(t *testing.T, from, to string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(from, "*", "*.png"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		f, err := os.Open(file)
		require.NoError(t, err)
		img, err := png.Decode(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		w, h := img.Bounds().Dx(), img.Bounds().Dy()
		side := image.NewNRGBA(image.Rect(0, 0, h, w))
		for y := range h {
			for x := range w {
				side.Set(y, w-1-x, img.At(x, y)) // 90 degrees against the clock, which 6 turns back
			}
		}
		var b bytes.Buffer
		require.NoError(t, jpeg.Encode(&b, side, &jpeg.Options{Quality: 95}))
		exif := "\xff\xd8\xff\xe1\x00\x22Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
		path := filepath.Join(to, filepath.Base(filepath.Dir(file)), strings.TrimSuffix(filepath.Base(file), "png")+"jpg")
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, append([]byte(exif), b.Bytes()[2:]...), 0o644))
	}
}

// Images are turned upright as their Exif data say, unless the configuration or the model says otherwise.
func TestOrientation(t *testing.T) {
	dir := t.TempDir()
	saveStripeImages(t, filepath.Join(dir, "png"), 60, 1)
	saveTurned(t, filepath.Join(dir, "png"), filepath.Join(dir, "train"))
	config, write := configFile(t, dir)
	model := filepath.Join(dir, "model.onnx")
	write(picturesConfig)
	accuracy := func(args ...string) float64 {
		return evaluate(t, append([]string{model}, args...)...).Metrics["accuracy"]
	}
	ok(t, "train", config)
	upright, turned := filepath.Join(dir, "png"), filepath.Join(dir, "train")
	assert.Greater(t, accuracy("--data", upright), 0.9)
	assert.Greater(t, accuracy("--data", turned), 0.9)
	assert.Less(t, accuracy("--data", turned, "--orientation", "stored"), 0.1)
	ok(t, "train", config, "--set", "data.orientation=stored")
	assert.Less(t, accuracy("--data", upright), 0.1)
	assert.Greater(t, accuracy("--data", turned), 0.9, "as the model's metadata says")
	assert.Less(t, accuracy("--data", turned, "--orientation", "exif"), 0.1)
	assert.Contains(t, gneiss(t, "train", config, "--set", "data.orientation=up").err, `orientation is "up", want one of exif, stored`)
	assert.Contains(t, gneiss(t, "eval", model, "--data", turned, "--orientation", "up").err, `orientation is "up"`)
	assert.Contains(t, gneiss(t, "quantize", model, "-o", filepath.Join(dir, "q.onnx"), "--calibrate", turned, "--orientation", "up").err, `orientation is "up"`)
	ok(t, "quantize", model, "-o", filepath.Join(dir, "q.onnx"), "--calibrate", turned, "--orientation", "stored")
	assert.Contains(t, gneiss(t, "eval", model, "--data", filepath.Join(turned, "lying")).err, "these have no classes: want a folder with a folder for each class")
}

// Settings of images are no settings of tables.
func TestImageSettingsOfTables(t *testing.T) {
	dir := t.TempDir()
	config, write := configFile(t, dir)
	table := filepath.Join(dir, "t.csv")
	require.NoError(t, os.WriteFile(table, []byte("a,target\n1,0\n2,1\n"), 0o644))
	for setting, name := range map[string]string{"orientation: stored": "orientation", "layout: NHWC": "layout", "channels: 1": "channels", "size: 8": "size", "orientation: exif, numeric: [a]": "orientation"} {
		write("model: {layers: [{linear: 2}]}\ndata: {train: DIR/t.csv, split: 0.5, " + setting + "}\nloss: cross_entropy\noptimizer: sgd\nepochs: 1\noutput: DIR/m.onnx\n")
		assert.Contains(t, gneiss(t, "train", config).err, "data: "+name+" is for images, and "+table+" is no folder of them: leave it out", setting)
	}
}

func savePNG(t *testing.T, path string, img image.Image) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, png.Encode(f, img))
	require.NoError(t, f.Close())
}

const picturesConfig = `
model: {layers: [{conv: {out: 8, kernel: 3, pad: 1}}, relu, {max_pool: 2}, {conv: {out: 8, kernel: 3, pad: 1}}, relu, global_avg_pool, flatten, {linear: 2}]}
data:
  train: DIR/train
  split: 0.25
  size: 16
  batch_size: 20
  shuffle: true
  augment: [{flip: 0.5}, {color: {brightness: 0.2}}, {normalize: {mean: [0.5, 0.4, 0.5], std: [0.3, 0.2, 0.25]}}]
loss: cross_entropy
optimizer: {name: adam, lr: 0.02}
metrics: [accuracy]
epochs: 12
seed: 1
output: DIR/model.onnx
`

// TestTrainPictures trains on folders of images, a folder for each class.
func TestTrainPictures(t *testing.T) {
	dir := t.TempDir()
	saveStripeImages(t, filepath.Join(dir, "train"), 120, 1)
	saveStripeImages(t, filepath.Join(dir, "val"), 30, 2)
	config, model := filepath.Join(dir, "c.yaml"), filepath.Join(dir, "model.onnx")
	write := func(text string) {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
	}
	accuracy := func(out string) float64 {
		lines := strings.Split(strings.TrimSpace(out), "\n")
		var last struct {
			Metrics map[string]float64 `json:"metrics"`
		}
		require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
		return last.Metrics["accuracy"]
	}
	write(picturesConfig)
	page := filepath.Join(dir, "report.html")
	r := ok(t, "train", config, "--json", "--report", page)
	assert.Contains(t, r.err, "gneiss: training: 120 images: lying 60, standing 60")
	assert.Greater(t, accuracy(r.out), 0.95)
	html, err := os.ReadFile(page)
	require.NoError(t, err)
	for _, want := range []string{"90, 5 batches of 20 an epoch", "1 standing", "Sample predictions", "data:image/png;base64,", "train/lying/0"} {
		assert.Contains(t, string(html), want)
	}
	m, err := onnx.Open(model, onnx.DecodeOptions{})
	require.NoError(t, err)
	defer m.Close()
	assert.Equal(t, "image", m.Graph.Inputs[0].Name)
	assert.JSONEq(t, `["lying", "standing"]`, metadataOf(m, classesKey))

	// A folder for validation, channels of grey; the same for any number of threads.
	write(strings.NewReplacer("split: 0.25", "validation: DIR/val", ", {normalize: {mean: [0.5, 0.4, 0.5], std: [0.3, 0.2, 0.25]}}", "", "size: 16", "size: [12, 16]\n  channels: 1").Replace(picturesConfig))
	r = ok(t, "train", config, "--json", "--set", "threads=1", "--set", "save_weights="+dir+"/1.npz")
	assert.Contains(t, r.err, "gneiss: validation: 30 images: lying 15, standing 15")
	assert.Greater(t, accuracy(r.out), 0.9)
	ok(t, "train", config, "--set", "threads=2", "--set", "save_weights="+dir+"/2.npz")
	one, err := os.ReadFile(dir + "/1.npz")
	require.NoError(t, err)
	two, err := os.ReadFile(dir + "/2.npz")
	require.NoError(t, err)
	assert.Equal(t, one, two, "weights with one thread and with two")
	run := filepath.Join(dir, "run")
	ok(t, "train", config, "--set", "epochs=11", "--set", "checkpoint="+run)
	ok(t, "train", config, "--set", "checkpoint="+run, "--resume", run, "--set", "save_weights="+dir+"/3.npz", "--set", "data.prefetch=5")
	three, err := os.ReadFile(dir + "/3.npz")
	require.NoError(t, err)
	assert.Equal(t, one, three, "weights of a run that went on")

	// A table names the images; a trained model is tuned on them.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "labels.csv"), []byte("file,what\nlying/000.png,10\nstanding/001.png,9\nlying/002.png,10\nstanding/003.png,9\n"), 0o644))
	table := strings.NewReplacer("train: DIR/train", "train: DIR/labels.csv\n  images: DIR/train\n  target: what", "  split: 0.25\n", "", "metrics: [accuracy]\n", "", "epochs: 12", "epochs: 1").Replace(picturesConfig)
	write(table)
	r = ok(t, "train", config)
	assert.Contains(t, r.err, "training: 4 images: 9 2, 10 2")
	tuned := strings.Replace(strings.Replace(table, table[1:strings.Index(table, "\ndata")], "model: {import: DIR/model.onnx, head: {classes: 2}}", 1), "size: 16", "preprocess: imagenet", 1)
	write(strings.Replace(tuned, "DIR/model.onnx\n", "DIR/tuned.onnx\n", 1))
	ok(t, "train", config)

	require.NoError(t, os.MkdirAll(filepath.Join(dir, "other", "leaning"), 0o755))
	b, err := os.ReadFile(filepath.Join(dir, "val", "lying", "000.png"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "other", "leaning", "a.png"), b, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "labels.csv"), []byte("file,what\nlying/000.png,1\nlying/00.png,0\n"), 0o644))
	saveStripeImages(t, filepath.Join(dir, "broken"), 20, 3)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "broken", "lying", "004.png"), b[:len(b)/2], 0o644))
	for want, text := range map[string]string{
		"size is missing": strings.Replace(picturesConfig, "  size: 16\n", "", 1),
		"size is [0 0], want a height and width of at least 1": strings.Replace(picturesConfig, "size: 16", "size: 0", 1),
		"an image cannot be an input of type":                  strings.Replace(picturesConfig, "size: 16", "size: 100000", 1),
		`preprocess of images is "export", want one of`:        strings.Replace(picturesConfig, "size: 16", "size: 16\n  preprocess: export", 1),
		"leaning/a.png: \"leaning\" is no class of the model":  strings.Replace(picturesConfig, "split: 0.25", "validation: DIR/other", 1),
		"an image beside the folders of classes":               strings.Replace(picturesConfig, "DIR/train", "DIR/train/lying", 1),
		"prefetch is -1":                                       strings.Replace(picturesConfig, "size: 16", "size: 16\n  prefetch: -1", 1),
		"channels is 2":                                        strings.Replace(picturesConfig, "size: 16", "size: 16\n  channels: 2", 1),
		"labels.csv, row 2: stat":                              table,
		"images are one":                                       strings.Replace(picturesConfig, "size: 16", "size: 16\n  inputs: [a, b]", 1),
		"004.png: ":                                            strings.Replace(picturesConfig, "DIR/train", "DIR/broken", 1),
		"size is [20 20], and input \"image\" is":              strings.NewReplacer(table[1:strings.Index(table, "\ndata")], "model: {import: DIR/model.onnx}", "size: 16", "size: 20").Replace(picturesConfig),
	} {
		write(text)
		r := gneiss(t, "train", config)
		assert.Equal(t, exitFailed, r.code, want)
		assert.Contains(t, r.err, want)
	}
}
