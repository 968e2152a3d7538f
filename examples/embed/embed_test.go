package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/leak"
	"github.com/gneiss-run/gneiss/internal/shared"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMain(m *testing.M) { leak.Main(m) }

var bg = context.Background()

const vocabulary, width = 30, 8

func table() []float32 {
	r := rand.New(rand.NewPCG(3, 4))
	x := make([]float32, vocabulary*width)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	return x
}

// encoder returns a model in which every token sees the sentence:
// last_hidden_state = tanh(e + mean of e where the mask is 1), e = table[ids].
// pooled is its first row. Without a mask the mean is over all tokens.
func encoder(t testing.TB, ints tensor.DType, masked bool) string {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 21}}
	m.Graph = onnx.NewGraph("encoder", m.Opsets)
	g, b := m.Graph, ops.NewBuilder(m.Graph)
	typ := onnx.TensorType(ints, onnx.Name("N"), onnx.Name("S"))
	e := b.Op("Gather", nil, b.Const(tensor.Of(table(), vocabulary, width)), g.AddInput("input_ids", typ))
	var mean *onnx.Value
	if masked {
		mask := b.Op("Cast", onnx.NewAttrs("to", int(tensor.Float32)), g.AddInput("attention_mask", typ))
		mask = b.Op("Unsqueeze", nil, mask, b.Ints(2))
		mean = b.Op("Div", nil, b.Op("ReduceSum", nil, b.Op("Mul", nil, e, mask), b.Ints(1)), b.Op("ReduceSum", nil, mask, b.Ints(1)))
		kinds := b.Op("Cast", onnx.NewAttrs("to", int(tensor.Float32)), g.AddInput("token_type_ids", typ))
		e = b.Op("Add", nil, e, b.Op("Unsqueeze", nil, kinds, b.Ints(2)))
	} else {
		mean = b.Op("ReduceMean", nil, e, b.Ints(1))
	}
	hidden := b.Op("Tanh", nil, b.Op("Add", nil, e, mean))
	pooled := b.Op("Gather", onnx.NewAttrs("axis", 1), hidden, b.Const(tensor.Scalar(int64(0))))
	flat := b.Op("Flatten", onnx.NewAttrs("axis", 0), hidden)
	none := b.Op("Mul", nil, pooled, b.Float(tensor.Float32, 0))
	require.NoError(t, b.Err())
	b.Insert(nil)
	pooled.Name, hidden.Name, flat.Name, none.Name = "pooled", "last_hidden_state", "flat", "none"
	g.Outputs = []*onnx.Value{pooled, hidden, flat, none}
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, onnx.Save(m, path, onnx.SaveOptions{}))
	return path
}

// expected is the vector of a sentence in plain loops; rows is how many of the
// hidden states are averaged.
func expected(ids []int, rows int) []float64 {
	tab := table()
	mean := make([]float64, width)
	for _, id := range ids {
		for i := range mean {
			mean[i] += float64(tab[id*width+i]) / float64(len(ids))
		}
	}
	out := make([]float64, width)
	for _, id := range ids[:rows] {
		for i := range out {
			out[i] += math.Tanh(float64(tab[id*width+i]) + mean[i])
		}
	}
	length := 0.0
	for _, v := range out {
		length += v * v
	}
	for i := range out {
		out[i] /= math.Sqrt(length)
	}
	return out
}

var sentences = [][]int{{1, 2, 3}, {7}, {4, 4, 9, 29, 0, 11}, {1, 2, 3}, {5, 6}, {8, 8, 8, 8}, {0, 1, 2, 3, 4, 5}}

func text(s [][]int) string {
	var b strings.Builder
	for _, ids := range s {
		b.WriteString(strings.Trim(fmt.Sprint(ids), "[]") + "\n\n")
	}
	return b.String()
}

// vectors runs the program with -vectors.
func vectors(t testing.TB, stdin string, args ...string) [][]float64 {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(bg, append([]string{"-vectors"}, args...), strings.NewReader(stdin), &out))
	var vs [][]float64
	for dec := json.NewDecoder(&out); ; {
		var v []float64
		if err := dec.Decode(&v); err == io.EOF {
			return vs
		} else {
			require.NoError(t, err)
		}
		vs = append(vs, v)
	}
}

func TestVectors(t *testing.T) {
	for _, ints := range []tensor.DType{tensor.Int64, tensor.Int32} {
		for _, masked := range []bool{true, false} {
			path := encoder(t, ints, masked)
			for _, batch := range []string{"1", "3", "16"} {
				got := vectors(t, text(sentences), "-model", path, "-batch", batch, "-pad", "13")
				require.Len(t, got, len(sentences))
				for i, s := range sentences {
					require.InDeltaSlice(t, expected(s, len(s)), got[i], 1e-6)
				}
			}
			got := vectors(t, text(sentences), "-model", path, "-output", "pooled")
			for i, s := range sentences {
				require.InDeltaSlice(t, expected(s, 1), got[i], 1e-6)
			}
		}
	}
}

func TestSimilarities(t *testing.T) {
	path := encoder(t, tensor.Int64, true)
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	require.NoError(t, os.WriteFile(a, []byte("1, 2,3\r\n7\r\n"), 0o600))
	require.NoError(t, os.WriteFile(b, []byte("3 2 1"), 0o600))
	var out bytes.Buffer
	require.NoError(t, run(bg, []string{"-model", path, a, b}, nil, &out))
	cos := 0.0
	for i, v := range expected([]int{1, 2, 3}, 3) {
		cos += v * expected([]int{7}, 1)[i]
	}
	want := fmt.Sprintf("%7.4f %7.4f %7.4f\n%7.4f %7.4f %7.4f\n", 1., cos, 1., cos, 1., cos)
	require.Equal(t, want+want[:len(want)/2], out.String())
}

func TestErrors(t *testing.T) {
	path := encoder(t, tensor.Int64, true)
	ctx, cancel := context.WithCancel(bg)
	cancel()
	require.ErrorIs(t, run(ctx, []string{"-model", path}, strings.NewReader("1"), io.Discard), context.Canceled)
	mlp := filepath.Join("..", "..", "testdata", "models", "mlp_mnist", "model.onnx")
	for _, c := range []struct {
		want, stdin string
		args        []string
	}{
		{"-model is missing", "1", nil},
		{"-batch must be", "1", []string{"-model", path, "-batch", "0"}},
		{"flag provided but not", "1", []string{"-x"}},
		{"no sentences", "\n \n", []string{"-model", path}},
		{`standard input:3: "-4" is not`, "1\n\n2 -4\n", []string{"-model", path}},
		{`"99999999999" is not`, "99999999999", []string{"-model", path}},
		{"no such file", "", []string{"-model", path, "nowhere.txt"}},
		{"no such file", "1", []string{"-model", "nowhere.onnx"}},
		{`no value "x"`, "1", []string{"-model", path, "-output", "x"}},
		{"index 30 is not in", "1 30", []string{"-model", path}},
		{`output "flat" is float32 [1 32], want`, "1 2\n3 4", []string{"-model", path, "-output", "flat"}},
		{"no direction", "1", []string{"-model", path, "-output", "none"}},
		{"is not one that", "1", []string{"-model", mlp}},
	} {
		require.ErrorContains(t, run(bg, c.args, strings.NewReader(c.stdin), io.Discard), c.want)
	}
	var help bytes.Buffer
	require.NoError(t, run(bg, []string{"-help"}, nil, &help))
	require.Contains(t, help.String(), "-vectors")
}

// TestModels compares the mean that the program takes with the one that the
// exported model takes itself.
func TestModels(t *testing.T) {
	for name, path := range shared.ModelsNamed(t, "minilm.script", "minilm.dynamo") {
		t.Run(name, func(t *testing.T) {
			in := text([][]int{{101, 7592, 2088, 102}, {101, 7592, 3011, 2045, 102, 5, 6, 7, 8}, {101, 102}})
			got := vectors(t, in, "-model", path)
			alone := vectors(t, in, "-model", path, "-batch", "1")
			model := vectors(t, in, "-model", path, "-output", "sentence_embedding")
			for i := range got {
				require.InDeltaSlice(t, alone[i], got[i], 1e-5)
				require.InDeltaSlice(t, model[i], got[i], 1e-5)
			}
		})
	}
}
