package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// outputOf runs a model of one input.
func outputOf(t *testing.T, path string, x *tensor.Tensor) []float32 {
	t.Helper()
	s, err := runtime.Open(path, runtime.Options{})
	require.NoError(t, err)
	defer s.Close()
	out, err := s.Run(context.Background(), map[string]tensor.Value{s.Inputs()[0].Name: x})
	require.NoError(t, err)
	return tensor.Data[float32](out[s.Outputs()[0].Name].(*tensor.Tensor))
}

// imageAs reads an image for an input of typ.
func imageAs(t *testing.T, file, mode string, d tensor.DType, dims ...onnx.Dim) *tensor.Tensor {
	t.Helper()
	r, err := data.NewImages(data.Options{Inputs: []data.Input{{Name: "x", Type: onnx.TensorType(d, dims...)}}, Preprocess: mode}, 0)
	require.NoError(t, err)
	x, err := r.Read(context.Background(), []string{file})
	require.NoError(t, err)
	return x
}

// TestExportPixels holds models that take pixels against those that take what they were trained on.
func TestExportPixels(t *testing.T) {
	dir := t.TempDir()
	saveStripeImages(t, filepath.Join(dir, "train"), 80, 1)
	config := filepath.Join(dir, "c.yaml")
	run := func(name, text string, set ...string) string {
		t.Helper()
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
		path := filepath.Join(dir, name)
		args := []string{"train", config, "--set", "output=" + path, "--set", "epochs=3"}
		for _, s := range set {
			args = append(args, "--set", s)
		}
		ok(t, args...)
		return path
	}
	files, err := filepath.Glob(filepath.Join(dir, "train", "*", "*.png"))
	require.NoError(t, err)
	require.Len(t, files, 80)
	n, rgb, h, w := onnx.Name("n"), onnx.Size(3), onnx.Name("h"), onnx.Name("w")
	for _, mode := range []string{"unit", "imagenet", "none"} {
		text := strings.Replace(picturesConfig, "size: 16", "size: [16, 20]\n  preprocess: "+mode, 1)
		if mode == "none" {
			text = strings.Replace(text, "{color: {brightness: 0.2}}, ", "", 1)
		}
		plain := run("plain.onnx", text)
		pixels := run("pixels.onnx", text, "export={pixels: uint8, layout: NHWC}", "opset=13")
		floats := run("floats.onnx", text, "export={pixels: float32}")
		ok(t, "check", pixels)
		for _, f := range files[:20] {
			unit := mode
			if mode == "imagenet" {
				unit = "crop"
			}
			x := imageAs(t, f, unit, tensor.Float32, n, rgb, onnx.Size(16), onnx.Size(20))
			y := x.Clone()
			v := tensor.Data[float32](y)
			mean, std := []float32{0.5, 0.4, 0.5}, []float32{0.3, 0.2, 0.25}
			for i := range v {
				c := i / (16 * 20)
				v[i] = (v[i] - mean[c]) / std[c]
				if m, s := data.ImageNet(); mode == "imagenet" {
					v[i] = (v[i] - float32(m[c])) / float32(s[c])
				}
			}
			want := outputOf(t, plain, y)
			scale := 1.0
			for _, v := range want {
				scale = max(scale, float64(v), -float64(v))
			}
			assert.InDeltaSlice(t, want, outputOf(t, floats, x), 1e-5*scale, mode)
			assert.InDeltaSlice(t, want, outputOf(t, pixels, imageAs(t, f, "none", tensor.Uint8, n, h, w, rgb)), 1e-4*scale, "%s %s", mode, f)
		}
		m, err := onnx.Open(pixels, onnx.DecodeOptions{})
		require.NoError(t, err)
		assert.JSONEq(t, `{"images": "none"}`, metadataOf(m, preprocessKey))
		assert.Contains(t, m.Graph.Inputs[0].Type.String(), "uint8[batch,pixel_rows,pixel_columns,3]")
		require.NoError(t, m.Close())
		m, err = onnx.Open(plain, onnx.DecodeOptions{})
		require.NoError(t, err)
		var steps imageSteps
		require.NoError(t, json.Unmarshal([]byte(metadataOf(m, preprocessKey)), &steps))
		assert.Equal(t, []int{16, 20}, steps.Size)
		assert.Len(t, steps.Normalize, map[string]int{"unit": 1, "imagenet": 2, "none": 1}[mode])
		require.NoError(t, m.Close())
	}
	// What the model cannot take is told before it is trained.
	r := gneiss(t, "train", config, "--set", "export={pixels: uint8}", "--set", "model={import: "+filepath.Join(dir, "pixels.onnx")+"}", "--set", "data.size=16", "--set", "data.augment=[]")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "export: prep: input \"image\": it is uint8[batch,pixel_rows,pixel_columns,3], want float32")
	assert.NotContains(t, r.out, "epoch")
	for want, text := range map[string]string{
		"pixels is \"int8\"":                         picturesConfig + "export: {pixels: int8}\n",
		"layout is \"HWC\"":                          picturesConfig + "export: {pixels: uint8, layout: HWC}\n",
		`unknown key "pixel"`:                        picturesConfig + "export: {pixel: uint8}\n",
		"for models that are trained on image files": stripesConfig + "export: {pixels: uint8}\n",
	} {
		require.NoError(t, os.WriteFile(config, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644))
		assert.Contains(t, gneiss(t, "train", config).err, want)
	}

	// Arrays of images, normalised in the model.
	saveStripes(t, filepath.Join(dir, "train.npz"), 60)
	saveStripes(t, filepath.Join(dir, "val.npz"), 20)
	plain := run("plain.onnx", stripesConfig)
	floats := run("floats.onnx", stripesConfig, "export={pixels: float32, layout: NHWC}")
	x := tensor.New(tensor.Float32, 2, 1, 8, 8)
	y := tensor.New(tensor.Float32, 2, 1, 8, 8)
	for i := range x.Len() {
		tensor.Data[float32](x)[i] = float32(i%13) / 13
		tensor.Data[float32](y)[i] = (float32(i%13)/13 - 0.5) / 0.5
	}
	last, err := x.Reshape(2, 8, 8, 1)
	require.NoError(t, err)
	assert.InDeltaSlice(t, outputOf(t, plain, y), outputOf(t, floats, last), 1e-5)
}
