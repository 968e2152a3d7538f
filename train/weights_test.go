package train

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
	"github.com/gneiss-run/gneiss/train/nn"
	"github.com/gneiss-run/gneiss/train/safetensors"
)

// torchKinds are the layers of testdata/torch_rnn.py.
var torchKinds = map[string]nn.Recurrent{
	"rnn": {Kind: "RNN", Hidden: 4}, "lstm": {Kind: "LSTM", Hidden: 4}, "gru": {Kind: "GRU", Hidden: 4, ResetAfter: true},
	"stacked":     {Kind: "LSTM", Hidden: 4, Layers: 2, Bidirectional: true},
	"stacked_gru": {Kind: "GRU", Hidden: 4, Layers: 2, Bidirectional: true, ResetAfter: true},
}

func recurrentModel(t *testing.T, seed uint64, l nn.Recurrent) *onnx.Model {
	t.Helper()
	m, err := nn.Build(seed, []nn.Input{nn.Floats("x", 5, 3)}, func(s *nn.Scope, in []*onnx.Value) []nn.Output {
		return []nn.Output{{Name: "y", Value: s.Apply("rnn", l, in[0])}}
	})
	require.NoError(t, err)
	return m
}

func runOn(t *testing.T, m *onnx.Model, x *tensor.Tensor) *tensor.Tensor {
	t.Helper()
	s, err := runtime.New(m.Clone(), runtime.Options{Threads: 1})
	require.NoError(t, err)
	defer s.Close()
	out, err := s.Run(context.Background(), map[string]tensor.Value{"x": x})
	require.NoError(t, err)
	return out["y"].(*tensor.Tensor)
}

// Layers that are loaded from a state_dict of PyTorch give PyTorch's outputs, and write its weights again.
func TestTorchWeights(t *testing.T) {
	values, _, err := safetensors.ReadFile("testdata/torch_values.safetensors")
	require.NoError(t, err)
	x := values["x"]
	dir := t.TempDir()
	if d := os.Getenv("GNEISS_TORCH_DIR"); d != "" { // for testdata/torch_rnn.py DIR check
		dir = d
	}
	own := map[string]*tensor.Tensor{"x": x}
	for kind, l := range torchKinds {
		file := filepath.Join("testdata", "torch_"+kind+".safetensors")
		m := recurrentModel(t, 1, l)
		r, err := LoadWeights(m, file, WeightOptions{})
		require.NoError(t, err, kind)
		want, _, err := safetensors.ReadFile(file)
		require.NoError(t, err)
		require.Len(t, r.Loaded, len(want))
		y := runOn(t, m, x)
		require.Equal(t, values[kind].Shape(), y.Shape())
		for i, v := range tensor.Data[float32](values[kind]) {
			require.InDelta(t, v, tensor.Data[float32](y)[i], 1e-6, "%s, element %d", kind, i)
		}
		for _, ext := range []string{".safetensors", ".npz"} {
			path := filepath.Join(dir, kind+ext)
			require.NoError(t, SaveWeights(path, m, WeightOptions{}))
			got, err := readWeights(path, 0)
			require.NoError(t, err)
			require.Len(t, got, len(want))
			for name, w := range want {
				require.Equal(t, w.Shape(), got[name].Shape(), name)
				require.Equal(t, w.Bytes(), got[name].Bytes(), name)
			}
		}
		other := recurrentModel(t, 9, l)
		require.NoError(t, SaveWeights(filepath.Join(dir, "go_"+kind+".safetensors"), other, WeightOptions{}))
		own[kind] = runOn(t, other, x)
	}
	require.NoError(t, safetensors.WriteFile(filepath.Join(dir, "go_values.safetensors"), own, nil))
}

func TestWeights(t *testing.T) {
	build := func(seed uint64, hidden int) *onnx.Model {
		m, err := nn.Build(seed, []nn.Input{nn.Floats("x", 1, 4, 4)}, func(s *nn.Scope, in []*onnx.Value) []nn.Output {
			net := nn.Sequential{nn.Conv{Out: 2, Kernel: 3}, nn.BatchNorm{}, nn.Flatten{}, nn.Linear{Out: hidden}, nn.Linear{Out: 3}}
			return []nn.Output{{Name: "y", Value: s.Apply("encoder", net, in[0])}}
		})
		require.NoError(t, err)
		return m
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "w.safetensors")
	a := build(1, 5)
	back := []Rename{{Pattern: `^bert\.encoder\.`, To: "encoder."}}
	require.NoError(t, SaveWeights(file, a, WeightOptions{Names: []Rename{{Pattern: `^encoder\.`, To: "bert.encoder."}}}))
	all, _, err := safetensors.ReadFile(file)
	require.NoError(t, err)
	require.Len(t, all, 2+4+4)
	require.Contains(t, all, "bert.encoder.1.running_var")
	all["bert.encoder.1.num_batches_tracked"] = tensor.Scalar(int64(7)) // PyTorch has this
	require.NoError(t, safetensors.WriteFile(file, all, nil))

	b := build(2, 5)
	r, err := LoadWeights(b, file, WeightOptions{Names: back})
	require.NoError(t, err)
	require.Len(t, r.Loaded, 10)
	for i, v := range a.Graph.Consts {
		require.Equal(t, v.Const.Bytes(), b.Graph.Consts[i].Const.Bytes(), v.Name)
	}

	// What does not fit is listed, and nothing is changed.
	c := build(3, 6)
	before := c.Graph.Consts[0].Const.Clone()
	_, err = LoadWeights(c, file, WeightOptions{Names: back})
	require.ErrorContains(t, err, file+`: 3 of another shape: ["encoder.3.weight: [5 8], want [6 8]"`)
	_, err = LoadWeights(c, file, WeightOptions{})
	require.ErrorContains(t, err, `10 missing: ["encoder.0.weight"`)
	require.ErrorContains(t, err, `10 unexpected: ["bert.encoder.0.bias"`)
	require.Equal(t, before.Bytes(), c.Graph.Consts[0].Const.Bytes())
	r, err = LoadWeights(c, file, WeightOptions{Names: back, Lenient: true})
	require.NoError(t, err)
	require.Len(t, r.Loaded, 7)
	require.Len(t, r.Mismatched, 3)
	require.Equal(t, a.Graph.Consts[0].Const.Bytes(), c.Graph.Consts[0].Const.Bytes())

	// Matrices the other way round, as other frameworks have them, in half precision.
	for name, x := range all {
		if x.Rank() == 2 {
			all[name] = transposed(x)
		}
	}
	turned := filepath.Join(dir, "turned.safetensors")
	require.NoError(t, safetensors.WriteFile(turned, all, nil))
	d := build(4, 5)
	_, err = LoadWeights(d, turned, WeightOptions{Names: back})
	require.ErrorContains(t, err, "2 of another shape")
	_, err = LoadWeights(d, turned, WeightOptions{Names: append(back, Rename{`\.(3|4)\.weight$`, ".$1.weight", WhereShapesSay})})
	require.NoError(t, err)
	for i, v := range a.Graph.Consts {
		require.Equal(t, v.Const.Bytes(), d.Graph.Consts[i].Const.Bytes(), v.Name)
	}
	square := map[string]*tensor.Tensor{}
	for name, x := range all {
		square[name] = x
	}
	e := build(5, 8)
	square["bert.encoder.3.weight"] = tensor.New(tensor.Float32, 8, 8)
	tensor.Data[float32](square["bert.encoder.3.weight"])[1] = 5
	require.NoError(t, safetensors.WriteFile(turned, square, nil))
	_, err = LoadWeights(e, turned, WeightOptions{Names: append(back, Rename{`3\.weight$`, "3.weight", WhereShapesSay}), Lenient: true})
	require.ErrorContains(t, err, `"bert.encoder.3.weight": float32 [8 8] is square`)
	_, err = LoadWeights(e, turned, WeightOptions{Names: append(back, Rename{`3\.weight$`, "3.weight", TransposeAlways}), Lenient: true})
	require.NoError(t, err)
	for _, v := range e.Graph.Consts {
		if v.Name == "encoder.3.weight" {
			require.Equal(t, float32(5), tensor.Data[float32](v.Const)[8])
		}
	}

	for want, err := range map[string]error{
		"want a name that ends in":       SaveWeights(filepath.Join(dir, "w.bin"), a, WeightOptions{}),
		"error parsing regexp":           SaveWeights(file, a, WeightOptions{Names: []Rename{{Pattern: "("}}}),
		`two weights are renamed to "x"`: SaveWeights(file, a, WeightOptions{Names: []Rename{{Pattern: ".*", To: "x"}}}),
		"no such file":                   second(LoadWeights(a, filepath.Join(dir, "no.npz"), WeightOptions{})),
		`are both renamed to "x"`:        second(LoadWeights(a, file, WeightOptions{Names: []Rename{{Pattern: "^.*$", To: "x"}}})),
		"applies the reset gate before":  second(LoadWeights(recurrentModel(t, 1, nn.Recurrent{Kind: "GRU", Hidden: 4}), file, WeightOptions{})),
		"want numbers of a float type":   second(LoadWeights(a, textsFile(t, dir), WeightOptions{})),
		"not a valid safetensors file":   second(LoadWeights(a, brokenFile(t, dir), WeightOptions{})),
		"zip: not a valid zip file":      second(LoadWeights(a, strings.Replace(brokenFile(t, dir), "safetensors", "npz", 1), WeightOptions{})),
	} {
		require.ErrorContains(t, err, want)
	}
}

func second[T any](_ T, err error) error { return err }

func textsFile(t *testing.T, dir string) string {
	path := filepath.Join(dir, "texts.npz")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: "encoder.0.bias", Tensor: tensor.Of([]string{"a", "b"}, 2)}}))
	require.NoError(t, f.Close())
	return path
}

func brokenFile(t *testing.T, dir string) string {
	for _, ext := range []string{"npz", "safetensors"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "broken."+ext), []byte("not what it says it is"), 0o644))
	}
	return filepath.Join(dir, "broken.safetensors")
}

// A file with nodes that lack inputs is looked at before it is checked: nothing panics.
func TestWeightsOfBrokenModel(t *testing.T) {
	m := recurrentModel(t, 1, nn.Recurrent{Kind: "RNN", Hidden: 4})
	g := m.Graph
	one := g.NewConst("one", tensor.Of([]float32{1}, 1))
	bn := g.NewNode("BatchNormalization", nil, []*onnx.Value{one}, 1)
	sum := g.NewNode("Add", nil, []*onnx.Value{one}, 1)
	g.Insert(nil, bn, sum)
	_, err := LoadWeights(m, "testdata/torch_rnn.safetensors", WeightOptions{})
	require.NoError(t, err)
}
