package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// mnistSamples writes samples of one image, and the classes that the model gives them.
func mnistSamples(t *testing.T) (dir, labels string) {
	t.Helper()
	return samplesOf(t, modelOf("mlp_mnist"), 1, 1, 28, 28)
}

// samplesOf writes 8 samples of shape, and the classes that the model gives them.
func samplesOf(t *testing.T, model string, shape ...int) (dir, labels string) {
	t.Helper()
	s, err := runtime.Open(model, runtime.Options{})
	require.NoError(t, err)
	defer s.Close()
	name := s.Inputs()[0].Name
	dir, labels = filepath.Join(t.TempDir(), "samples"), filepath.Join(t.TempDir(), "labels.csv")
	require.NoError(t, os.Mkdir(dir, 0o755))
	rng := rand.New(rand.NewPCG(1, 2))
	n, err := tensor.Count(shape)
	require.NoError(t, err)
	var classes strings.Builder
	for i := range 8 {
		x := make([]float32, n)
		for k := range x {
			x[k] = rng.Float32()
		}
		in := tensor.Of(x, shape...)
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
		{[]string{"--equalize", "--bias-correction", "--per-tensor"}, 0.27, 0.05},
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
			if len(c.args) > 0 && c.args[0] == "--equalize" {
				assert.NotEmpty(t, v["equalized"].(map[string]any)["pairs"])
				for _, b := range v["corrected_biases"].([]any) {
					assert.Positive(t, b.(map[string]any)["shift"])
				}
			}
			assert.Positive(t, o["relative_l2"].(float64))
			assert.Equal(t, 1.0, v["metric"].(map[string]any)["before"])
			ok(t, "check", out)
			ok(t, "run", out, "--random", "1")
		})
	}

	r := ok(t, "quantize", m, "-o", out, "--calibrate", samples, "--labels", labels, "--sensitivity", "--report", filepath.Join(dir, "r.html"))
	for _, want := range []string{"file ", "latency ", "memory ", "accuracy ", " dB", "nodes quantised", "to leave out what hurts most: --exclude "} {
		assert.Contains(t, r.out, want)
	}
	page, err := os.ReadFile(filepath.Join(dir, "r.html"))
	require.NoError(t, err)
	for _, want := range []string{"<svg", "Which nodes hurt", "signal to noise", "Distributions and the ranges", "weights ", "values of ", "</html>"} {
		assert.Contains(t, string(page), want)
	}
	assert.NotContains(t, string(page), "ZgotmplZ")
}

// floatModel saves a model of opset 13 that build makes of its input x of rows of 8, and
// samples of it.
func floatModel(t *testing.T, build func(b *ops.Builder, x *onnx.Value, weights func() *onnx.Value) *onnx.Value) (path, samples string) {
	t.Helper()
	dir := t.TempDir()
	path, samples = filepath.Join(dir, "in.onnx"), filepath.Join(dir, "samples.npz")
	m := &onnx.Model{IRVersion: 8, Opsets: map[string]int{"": 13}}
	m.Graph = onnx.NewGraph("g", m.Opsets)
	b := ops.NewBuilder(m.Graph)
	x := m.Graph.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Sizes(4, 8)...))
	rng := rand.New(rand.NewPCG(3, 4))
	y := build(b, x, func() *onnx.Value {
		weights := make([]float32, 64)
		for i := range weights {
			weights[i] = rng.Float32() - 0.5
		}
		return b.Const(tensor.Of(weights, 8, 8))
	})
	require.NoError(t, b.Err())
	b.Insert(nil)
	m.Graph.Outputs = []*onnx.Value{y}
	require.NoError(t, onnx.Save(m, path, onnx.SaveOptions{}))
	data := make([]float32, 32)
	for i := range data {
		data[i] = 4*rng.Float32() - 2
	}
	f, err := os.Create(samples)
	require.NoError(t, err)
	require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: "x", Tensor: tensor.Of(data, 4, 8)}}))
	require.NoError(t, f.Close())
	return path, samples
}

// TestQuantizeDefaults: weights that are inputs, too, are quantised, and are told of.
func TestQuantizeDefaults(t *testing.T) {
	path, samples := floatModel(t, func(b *ops.Builder, x *onnx.Value, weights func() *onnx.Value) *onnx.Value {
		for _, name := range []string{"first", "second"} {
			w := weights()
			w.Name = name
			x = b.Op("Relu", nil, b.Op("MatMul", nil, x, w))
			x.From.In[0].From.Name = name + "/MatMul"
		}
		return x
	})
	m, err := onnx.Open(path, onnx.DecodeOptions{})
	require.NoError(t, err)
	for _, v := range m.Graph.Consts {
		v.Type = onnx.TypeOf(v.Const)
		m.Graph.Inputs = append(m.Graph.Inputs, v)
	}
	require.NoError(t, onnx.Save(m, path+".listed", onnx.SaveOptions{}))
	require.NoError(t, m.Close())
	out := filepath.Join(t.TempDir(), "out.onnx")
	page := filepath.Join(t.TempDir(), "page.html")
	r := ok(t, "quantize", path+".listed", "-o", out, "--calibrate", samples, "--exclude", "second/MatMul", "--no-bench", "--report", page)
	assert.Contains(t, r.out, "no longer inputs, as their defaults are weights: first\n")
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	assert.Contains(t, string(text), "no longer inputs, as their defaults are weights: first.")
	q, err := onnx.Open(out, onnx.DecodeOptions{})
	require.NoError(t, err)
	require.Len(t, q.Graph.Inputs, 2)
	require.Equal(t, "second", q.Graph.Inputs[1].Name)
	require.NoError(t, q.Close())
	r = ok(t, "prune", path+".listed", "-o", out, "--structured", "0.5", "--multiple", "1")
	assert.Contains(t, r.out, "no longer inputs, as their defaults are weights: first, second\n")
}

// TestQuantizeGelu: a Gelu that is written out with Erf is quantised as one operator, and
// so is a LayerNormalization, in an opset that has it.
func TestQuantizeGelu(t *testing.T) {
	for name, function := range map[string]func(b *ops.Builder, h *onnx.Value) *onnx.Value{
		"Gelu": func(b *ops.Builder, h *onnx.Value) *onnx.Value {
			e := b.Op("Add", nil, b.Op("Erf", nil, b.Op("Div", nil, h, b.Float(tensor.Float32, math.Sqrt2))), b.Float(tensor.Float32, 1))
			return b.Op("Mul", nil, b.Op("Mul", nil, h, e), b.Float(tensor.Float32, 0.5))
		},
		"LayerNormalization": func(b *ops.Builder, h *onnx.Value) *onnx.Value {
			mean := func(x *onnx.Value) *onnx.Value { return b.Op("ReduceMean", onnx.NewAttrs("axes", []int{-1}), x) }
			d := b.Op("Sub", nil, h, mean(h))
			return b.Op("Div", nil, d, b.Op("Sqrt", nil, b.Op("Add", nil, mean(b.Op("Mul", nil, d, d)), b.Float(tensor.Float32, 1e-5))))
		},
	} {
		in, samples := floatModel(t, func(b *ops.Builder, x *onnx.Value, weights func() *onnx.Value) *onnx.Value {
			return b.Op("MatMul", nil, function(b, b.Op("MatMul", nil, x, weights())), weights())
		})
		out := filepath.Join(t.TempDir(), "out.onnx")
		v := ok(t, "quantize", in, "-o", out, "--calibrate", samples, "--no-bench", "--json").object(t)
		var names []string
		for _, l := range v["layers"].([]any) {
			names = append(names, l.(map[string]any)["op"].(string))
			assert.NotEmpty(t, l.(map[string]any)["format"])
		}
		assert.Equal(t, []string{"MatMul", name, "MatMul"}, names)
		assert.Less(t, v["outputs"].([]any)[0].(map[string]any)["relative_l2"].(float64), 0.02)
		q, err := onnx.Open(out, onnx.DecodeOptions{})
		require.NoError(t, err)
		assert.Empty(t, onnx.Check(q))
	}
}

// A result whose shape depends on values has another one in the quantised model: that is
// counted, and no reason to fail.
func TestQuantizeReshaped(t *testing.T) {
	in, samples := floatModel(t, func(b *ops.Builder, x *onnx.Value, weights func() *onnx.Value) *onnx.Value {
		h := b.Op("MatMul", nil, x, weights())
		least := b.Op("ReduceMin", onnx.NewAttrs("keepdims", 0), b.Op("Abs", nil, h)) // moved by any rounding
		count := b.Op("Cast", onnx.NewAttrs("to", tensor.Int64), b.Op("Mul", nil, least, b.Float(tensor.Float32, 1e6)))
		return b.Op("ConstantOfShape", nil, b.Op("Unsqueeze", nil, count, b.Ints(0)))
	})
	out := filepath.Join(t.TempDir(), "out.onnx")
	v := ok(t, "quantize", in, "-o", out, "--calibrate", samples, "--no-bench", "--json").object(t)
	assert.Equal(t, 1., v["outputs"].([]any)[0].(map[string]any)["reshaped"])
	assert.Contains(t, v["warnings"].([]any)[0], "another shape")
}

// A model of float16 is quantised as one of float32, and keeps the types of what it takes and gives.
func TestQuantizeFloat16(t *testing.T) {
	in, samples := floatModel(t, func(b *ops.Builder, x *onnx.Value, weights func() *onnx.Value) *onnx.Value {
		product := func(x *onnx.Value, rows, columns int) *onnx.Value {
			w := tensor.New(tensor.Float16, rows, columns)
			for i := range 8 {
				for k, v := range tensor.Data[float32](weights().Const) {
					tensor.Data[tensor.F16](w)[64*i+k] = tensor.F16Of(v)
				}
			}
			return b.Op("MatMul", nil, x, b.Const(w))
		}
		h := product(b.Op("Cast", onnx.NewAttrs("to", tensor.Float16), x), 8, 64)
		return product(b.Op("Relu", nil, h), 64, 8)
	})
	for _, mode := range []string{"dynamic", "static"} {
		args := []string{"quantize", in, "-o", filepath.Join(t.TempDir(), "out.onnx"), "--mode", mode, "--no-bench", "--json"}
		if mode == "static" {
			args = append(args, "--calibrate", samples)
		}
		v := ok(t, args...).object(t)
		done := 0
		for _, c := range v["layers"].([]any) {
			if c := c.(map[string]any); c["op"] == "MatMul" && c["format"] != nil {
				done++
			}
		}
		assert.Equal(t, 2, done, mode)
		m, err := onnx.Open(args[3], onnx.DecodeOptions{})
		require.NoError(t, err)
		assert.Equal(t, tensor.Float16, m.Graph.Outputs[0].Type.DType)
		before, after := v["before"].(map[string]any)["weight_bytes"].(float64), v["after"].(map[string]any)["weight_bytes"].(float64)
		assert.Less(t, after, 0.8*before, "compared with what float16 takes")
		require.NoError(t, m.Close())
	}
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

// onText is a buffer that calls do when text is written to it.
type onText struct {
	bytes.Buffer
	text string
	do   func()
}

func (b *onText) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(b.text)) {
		b.do()
	}
	return b.Buffer.Write(p)
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
	var names []string
	for _, c := range v["tried"].([]any) {
		names = append(names, c.(map[string]any)["recipe"].(string))
	}
	assert.Contains(t, names, "static minmax, biases corrected")
	assert.Contains(t, names, "static minmax, equalized, biases corrected")
	r := ok(t, args...)
	assert.Contains(t, r.out, "best")
	r = gneiss(t, append(args, "--percentile", "99")...)
	require.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "state.json: it is not the state of this search")

	// An interrupted search says what it leaves, and goes on to the same model.
	whole, err := os.ReadFile(out)
	require.NoError(t, err)
	require.NoError(t, os.Remove(out))
	require.NoError(t, os.Remove(state))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stderr := &onText{text: "tried ", do: cancel}
	require.Equal(t, exitFailed, run(ctx, args, nil, io.Discard, stderr))
	require.Equal(t, 1, strings.Count(stderr.String(), "tried "), stderr.String())
	require.Regexp(t, `\ngneiss: interrupted; \S+out\.onnx is the best so far: .+, lost .+%; the same command goes on from --state \S+state\.json\n$`, stderr.String())
	require.FileExists(t, out)
	ok(t, args...)
	resumed, err := os.ReadFile(out)
	require.NoError(t, err)
	require.True(t, bytes.Equal(whole, resumed))

	// What is tried is what the flags leave open.
	for want, flags := range map[string][]string{
		"dynamic": {"--mode", "dynamic"}, "weight-only 8 bits": {"--mode", "weight-only", "--bits", "8"}, "static mse": {"--mode", "static", "--method", "mse"},
	} {
		v := ok(t, append([]string{"quantize", m, "-o", out, "--calibrate", samples, "--labels", labels, "--max-drop", "50%", "--no-bench", "--json"}, flags...)...).object(t)
		for _, tried := range append(v["tried"].([]any), v["best"]) {
			recipe, _, _ := strings.Cut(tried.(map[string]any)["recipe"].(string), ",") // behind it is how static is corrected
			require.Equal(t, want, recipe)
		}
	}

	// Each recipe fails.
	require.NoError(t, os.Remove(out))
	r = gneiss(t, "quantize", m, "-o", out, "--calibrate", samples, "--labels", labels, "--max-drop", "0%", "--exclude", "nothing")
	require.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, `no node "nothing"`)
	require.NoFileExists(t, out)
}

// With --no-search a bound is a check of one model: exit code and JSON tell both ways.
func TestQuantizeBound(t *testing.T) {
	// What tells classes apart is far below a step of the weights.
	fine := saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		rng := rand.New(rand.NewPCG(3, 4))
		w := make([]float32, 32*10)
		for i := range w {
			w[i] = 10 + 1e-3*rng.Float32()
		}
		x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(32)))
		return []*onnx.Value{b.Op("MatMul", nil, x, b.Const(tensor.Of(w, 32, 10)))}
	})
	for model, shape := range map[string][]int{modelOf("mlp_mnist"): {1, 1, 28, 28}, fine: {1, 32}} {
		samples, labels := samplesOf(t, model, shape...)
		out := filepath.Join(t.TempDir(), "out.onnx")
		r := gneiss(t, "quantize", model, "-o", out, "--calibrate", samples, "--labels", labels, "--max-drop", "1%", "--no-search", "--no-bench", "--json")
		v := r.object(t)
		keys(t, v, "model", "before", "tried", "metric", "ok")
		metric := v["metric"].(map[string]any)
		require.Len(t, v["tried"], 1)
		if model != fine {
			require.Equal(t, exitOK, r.code, r.err)
			assert.Equal(t, true, v["ok"])
			assert.LessOrEqual(t, metric["relative_drop"], 0.01)
			require.FileExists(t, out)
			continue
		}
		require.Equal(t, exitDiffers, r.code, r.err)
		assert.Equal(t, false, v["ok"])
		assert.NotContains(t, v, "output")
		assert.Greater(t, metric["relative_drop"], 0.01)
		assert.Equal(t, 1.0, metric["before"])
		assert.Contains(t, r.err, "nothing is written")
		entries, err := os.ReadDir(filepath.Dir(out))
		require.NoError(t, err)
		require.Empty(t, entries)
	}
}

func TestQuantizeErrors(t *testing.T) {
	samples, labels := mnistSamples(t)
	m, dir := modelOf("mlp_mnist"), t.TempDir()
	out := filepath.Join(dir, "out.onnx")
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.Mkdir(empty, 0o755))
	write := func(name string, x *tensor.Tensor) string {
		f, err := os.Create(filepath.Join(t.TempDir(), name))
		require.NoError(t, err)
		require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: "x", Tensor: x}}))
		require.NoError(t, f.Close())
		return f.Name()
	}
	bad := make([]float32, 28*28)
	bad[5] = float32(math.NaN())
	nan, none := write("nan.npz", tensor.Of(bad, 1, 1, 28, 28)), write("none.npz", tensor.New(tensor.Float32, 0, 1, 28, 28))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{m}, exitUsage, "give -o OUT"},
		{[]string{m, "-o", out}, exitUsage, "--calibrate"},
		{[]string{m, "-o", out, "--mode", "fast"}, exitUsage, "static, dynamic or weight-only"},
		{[]string{m, "-o", out, "--mode", "dynamic", "--bias-correction"}, exitUsage, "--bias-correction is for --mode static"},
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
		{[]string{m, "-o", out, "--calibrate", samples, "--labels", writeFile(t, "many.csv", []byte(strings.Repeat("1\n", 9)))}, exitFailed, "it has 9 labels, but "},
		{[]string{m, "-o", out, "--calibrate", samples, "--labels", writeFile(t, "few.csv", []byte("1\n2\n"))}, exitFailed, "there are 2 labels"},
		{[]string{m, "-o", out, "--calibrate", samples, "--labels", writeFile(t, "text.csv", []byte("cat\n"))}, exitFailed, `label "cat"`},
		{[]string{m, "-o", out, "--calibrate", nan}, exitFailed, `input "x" has an element that is NaN`},
		{[]string{m, "-o", out, "--calibrate", nan, "--mode", "dynamic"}, exitFailed, "NaN throughout"},
		{[]string{m, "-o", out, "--calibrate", none}, exitFailed, "no sample"},
		{[]string{m, "-o", out, "--calibrate", samples, "--scores", "z"}, exitFailed, `no output "z"`},
		{[]string{m, "-o", dir, "--calibrate", samples}, exitFailed, "it is a folder"},
		{[]string{m, "-o", out, "--calibrate", samples, "--report", filepath.Join(dir, "none", "r.html")}, exitFailed, "no such file"},
		{[]string{m, "-o", out, "--calibrate", samples, "--labels", labels, "--max-drop", "1%", "--state", dir}, exitFailed, "it is a folder"},
		{[]string{m, "-o", out, "--calibrate", samples, "--labels", labels, "--max-drop", "1%", "--state", writeFile(t, "s.json", []byte("{"))}, exitFailed, "not the state of a search"},
		{[]string{m, "-o", out, "--calibrate", samples, "--no-search"}, exitUsage, "--max-drop"},
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
	for _, mode := range []string{"dynamic", "weight-only"} {
		r := gneiss(t, "quantize", out, "-o", filepath.Join(dir, "again.onnx"), "--mode", mode)
		require.Equal(t, exitFailed, r.code)
		assert.Contains(t, r.err, "quantised already")
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	require.Empty(t, left) // no temporary file
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
