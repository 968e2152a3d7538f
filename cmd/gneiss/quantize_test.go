package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// mnistSamples writes 4 files of 8 images, and the classes that the model gives them.
func mnistSamples(t *testing.T) (dir, labels string) {
	t.Helper()
	s, err := runtime.Open(modelOf("mlp_mnist"), runtime.Options{})
	require.NoError(t, err)
	defer s.Close()
	name := s.Inputs()[0].Name
	dir, labels = filepath.Join(t.TempDir(), "samples"), filepath.Join(t.TempDir(), "labels.csv")
	require.NoError(t, os.Mkdir(dir, 0o755))
	rng := rand.New(rand.NewPCG(1, 2))
	var classes strings.Builder
	for i := range 8 {
		x := make([]float32, 28*28)
		for k := range x {
			x[k] = rng.Float32()
		}
		in := tensor.Of(x, 1, 1, 28, 28)
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%d.npz", i)))
		require.NoError(t, err)
		require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: name, Tensor: in}}))
		require.NoError(t, f.Close())
		out, err := s.Run(context.Background(), map[string]tensor.Value{name: in})
		require.NoError(t, err)
		y := tensor.Data[float32](out[s.Outputs()[0].Name].(*tensor.Tensor))
		best := 0
		for k, v := range y {
			if v > y[best] {
				best = k
			}
		}
		fmt.Fprintln(&classes, best)
	}
	require.NoError(t, os.WriteFile(labels, []byte(classes.String()), 0o600))
	return dir, labels
}

func TestQuantize(t *testing.T) {
	samples, labels := mnistSamples(t)
	m, dir := modelOf("mlp_mnist"), t.TempDir()
	out := filepath.Join(dir, "out.onnx")
	for _, c := range []struct {
		args  []string
		ratio float64 // of the file, at most
		error float64 // relative L2, at most
	}{
		{nil, 0.27, 0.05},
		{[]string{"--format", "qoperator", "--method", "percentile"}, 0.27, 0.05},
		{[]string{"--method", "mse", "--activations", "int8", "--symmetric", "--per-tensor"}, 0.27, 0.1},
		{[]string{"--activations", "uint16"}, 0.27, 0.02},
		{[]string{"--weights", "int4", "--block", "32"}, 0.2, 0.3},
		{[]string{"--mode", "dynamic"}, 0.27, 0.05},
		{[]string{"--mode", "weight-only"}, 0.2, 0.2},
		{[]string{"--mode", "weight-only", "--bits", "8", "--portable"}, 0.4, 0.02},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			r := ok(t, append([]string{"quantize", m, "-o", out, "--calibrate", samples, "--labels", labels, "--json", "--no-bench"}, c.args...)...)
			v := r.object(t)
			keys(t, v, "model", "output", "mode", "settings", "before", "after", "outputs", "metric", "layers", "ok")
			file := func(k string) float64 { return v[k].(map[string]any)["file_bytes"].(float64) }
			assert.LessOrEqual(t, file("after")/file("before"), c.ratio)
			o := v["outputs"].([]any)[0].(map[string]any)
			assert.LessOrEqual(t, o["relative_l2"].(float64), c.error)
			assert.Positive(t, o["relative_l2"].(float64))
			assert.Equal(t, 1.0, v["metric"].(map[string]any)["before"])
			ok(t, "check", out)
			ok(t, "run", out, "--random", "1")
		})
	}

	r := ok(t, "quantize", m, "-o", out, "--calibrate", samples, "--labels", labels, "--sensitivity", "--report", filepath.Join(dir, "r.html"))
	for _, want := range []string{"file ", "latency ", "accuracy ", " dB", "nodes quantised", "to leave out what hurts most: --exclude "} {
		assert.Contains(t, r.out, want)
	}
	page, err := os.ReadFile(filepath.Join(dir, "r.html"))
	require.NoError(t, err)
	for _, want := range []string{"<svg", "Which nodes hurt", "signal to noise", "Distributions and the ranges", "weights ", "values of ", "</html>"} {
		assert.Contains(t, string(page), want)
	}
	assert.NotContains(t, string(page), "ZgotmplZ")
}

// A model whose outputs are integers is quantised, though there is nothing to compare.
func TestQuantizeClasses(t *testing.T) {
	samples, labels := mnistSamples(t)
	m, err := onnx.Open(modelOf("mlp_mnist"), onnx.DecodeOptions{})
	require.NoError(t, err)
	defer m.Close()
	n := m.Graph.NewNode("ArgMax", onnx.NewAttrs("axis", 1), m.Graph.Outputs, 1)
	n.Out[0].Name, n.Out[0].Type = "class", onnx.TensorType(tensor.Int64, onnx.Sizes(1, 1)...)
	m.Graph.Insert(nil, n)
	m.Graph.Outputs = n.Out
	path, out := filepath.Join(t.TempDir(), "classes.onnx"), filepath.Join(t.TempDir(), "out.onnx")
	require.NoError(t, onnx.Save(m, path, onnx.SaveOptions{}))
	v := ok(t, "quantize", path, "-o", out, "--calibrate", samples, "--json", "--no-bench").object(t)
	assert.Contains(t, fmt.Sprint(v["warnings"]), "no output of the model holds floats")
	assert.Nil(t, v["outputs"])
	assert.FileExists(t, out)
	r := gneiss(t, "quantize", path, "-o", out, "--calibrate", samples, "--labels", labels, "--no-bench")
	assert.NotZero(t, r.code)
	assert.Contains(t, r.err, "no output of the model holds floats")
}

func TestQuantizeSearch(t *testing.T) {
	samples, labels := mnistSamples(t)
	m, dir := modelOf("mlp_mnist"), t.TempDir()
	out, state := filepath.Join(dir, "out.onnx"), filepath.Join(dir, "state.json")
	args := []string{"quantize", m, "-o", out, "--calibrate", samples, "--labels", labels, "--max-drop", "50%", "--state", state, "--no-bench"}
	v := ok(t, append(args, "--json", "--report", filepath.Join(dir, "r.html"))...).object(t)
	keys(t, v, "tried", "best")
	require.Equal(t, "weight-only 4 bits", v["best"].(map[string]any)["recipe"]) // the smallest
	require.FileExists(t, state)
	r := ok(t, args...)
	assert.Contains(t, r.out, "best")

	// Each recipe fails.
	require.NoError(t, os.Remove(out))
	r = gneiss(t, "quantize", m, "-o", out, "--calibrate", samples, "--labels", labels, "--max-drop", "0%", "--exclude", "nothing")
	require.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, `no node "nothing"`)
	require.NoFileExists(t, out)
}

func TestQuantizeErrors(t *testing.T) {
	samples, labels := mnistSamples(t)
	m, dir := modelOf("mlp_mnist"), t.TempDir()
	out := filepath.Join(dir, "out.onnx")
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.Mkdir(empty, 0o755))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{m}, exitUsage, "give -o OUT"},
		{[]string{m, "-o", out}, exitUsage, "--calibrate"},
		{[]string{m, "-o", out, "--mode", "fast"}, exitUsage, "static, dynamic or weight-only"},
		{[]string{m, "-o", out, "--mode", "dynamic", "--format", "qdq"}, exitUsage, "--format is for --mode static"},
		{[]string{m, "-o", out, "--calibrate", samples, "--max-drop", "1%"}, exitUsage, "--labels"},
		{[]string{m, "-o", out, "--calibrate", samples, "--labels", labels, "--max-drop", "much"}, exitUsage, "such as 1%"},
		{[]string{m, "-o", out, "--calibrate", samples, "--activations", "float16"}, exitUsage, "want uint8"},
		{[]string{m, "-o", out, "--calibrate", samples, "--method", "luck"}, exitUsage, "luck"},
		{[]string{m, "-o", out, "--calibrate", samples, "--report", "page.pdf"}, exitUsage, ".html"},
		{[]string{m, "-o", out, "--calibrate", empty}, exitFailed, "empty"},
		{[]string{m, "-o", out, "--calibrate", filepath.Join(dir, "none")}, exitFailed, "none"},
		{[]string{m, "-o", out, "--calibrate", samples, "--labels", filepath.Join(dir, "none.csv")}, exitFailed, "none.csv"},
		{[]string{m, "-o", out, "--calibrate", samples, "--exclude", "no such node"}, exitFailed, `no node "no such node"`},
		{[]string{m, "-o", filepath.Join(dir, "none", "out.onnx"), "--mode", "dynamic"}, exitFailed, "none"},
		{[]string{modelOf("sk_rf_zipmap"), "-o", out, "--mode", "dynamic"}, exitFailed, "no node of it can be quantised"},
	} {
		r := gneiss(t, append([]string{"quantize"}, c.args...)...)
		require.Equal(t, c.code, r.code, "%v\n%s", c.args, r.err)
		assert.Contains(t, r.err, c.want, c.args)
		require.NoFileExists(t, out)
	}
	ok(t, "quantize", m, "-o", out, "--calibrate", samples, "--no-bench")
	r := gneiss(t, "quantize", out, "-o", filepath.Join(dir, "again.onnx"), "--calibrate", samples)
	require.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "quantised already")
}

func TestConvertCompute(t *testing.T) {
	samples, _ := mnistSamples(t)
	out := filepath.Join(t.TempDir(), "half.onnx")
	for _, args := range [][]string{{"--to", "float16"}, {"--to", "float16", "--calibrate", samples, "--half-io"}, {"--to", "bfloat16"}} {
		r := ok(t, append([]string{"convert", modelOf("mlp_mnist"), "-o", out, "--compute"}, args...)...)
		assert.Contains(t, r.out, " in "+args[1])
		ok(t, "check", out)
		ok(t, "run", out, "--random", "1")
	}
	s, err := runtime.Open(modelOf("mlp_mnist"), runtime.Options{})
	require.NoError(t, err)
	logits := s.Outputs()[0].Name
	require.NoError(t, s.Close())
	r := ok(t, "convert", modelOf("mlp_mnist"), "-o", out, "--compute", "--to", "float16", "--exclude", logits)
	assert.Contains(t, r.out, "in float32 stay: ")
	for _, args := range [][]string{{"--compute"}, {"--to", "float32", "--compute"}, {"--to", "float16", "--half-io"}} {
		r := gneiss(t, append([]string{"convert", modelOf("mlp_mnist"), "-o", out}, args...)...)
		require.Equal(t, exitUsage, r.code, args)
	}
	r = gneiss(t, "convert", modelOf("mlp_mnist"), "-o", out, "--to", "float16", "--compute", "--exclude", "nobody")
	require.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, `no node "nobody"`)
}
