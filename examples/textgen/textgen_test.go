package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss"
	"github.com/gneiss-run/gneiss/internal/leak"
	"github.com/gneiss-run/gneiss/internal/shared"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMain(m *testing.M) { leak.Main(m) }

var bg = context.Background()

// The sizes of the small decoder: it knows 40 tokens and 64 positions.
const vocabulary, positions, width = 40, 64, 16

// weights are those of the small decoder, by name, each row-major.
type weights struct{ tokens, positions, q, k, v, head []float32 }

func drawn(r *rand.Rand, n int, scale float64) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.NormFloat64() * scale)
	}
	return x
}

func newWeights() weights {
	r := rand.New(rand.NewPCG(7, 7))
	return weights{
		drawn(r, vocabulary*width, 1), drawn(r, positions*width, 1), drawn(r, width*width, 0.4),
		drawn(r, width*width, 0.4), drawn(r, width*width, 0.4), drawn(r, width*vocabulary, 1),
	}
}

// variant says how an exporter might have written the small decoder.
type variant struct {
	ints     tensor.DType // of tokens, mask and positions
	key, val string       // names of the cache behind past and present
	cache    bool
}

var plain = variant{tensor.Int64, "_key_values.0.key", "_key_values.0.value", true}

// decoderModel returns one attention layer with one head between embeddings and
// the head: logits = (x + attention(x)) · head, x = tokens[id] + positions[pos].
func decoderModel(t testing.TB, v variant) *onnx.Model {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 21}}
	g := onnx.NewGraph("decoder", m.Opsets)
	m.Graph = g
	b := ops.NewBuilder(g)
	w := newWeights()
	matrix := func(x []float32, rows int) *onnx.Value { return b.Const(tensor.Of(x, rows, len(x)/rows)) }
	n, s := onnx.Name("N"), onnx.Name("S")
	ids := g.AddInput("input_ids", onnx.TensorType(v.ints, n, s))
	mask := g.AddInput("attention_mask", onnx.TensorType(v.ints, n, onnx.Name("T")))
	pos := g.AddInput("position_ids", onnx.TensorType(v.ints, n, s))
	x := b.Op("Add", nil, b.Op("Gather", nil, matrix(w.tokens, vocabulary), ids), b.Op("Gather", nil, matrix(w.positions, positions), pos))
	x = b.Op("Unsqueeze", nil, x, b.Ints(1)) // [N,1,S,width]
	q, k, val := b.Op("MatMul", nil, x, matrix(w.q, width)), b.Op("MatMul", nil, x, matrix(w.k, width)), b.Op("MatMul", nil, x, matrix(w.v, width))
	if v.cache {
		past := onnx.TensorType(tensor.Float32, n, onnx.Size(1), onnx.Name("P"), onnx.Size(width))
		k = b.Op("Concat", onnx.NewAttrs("axis", -2), g.AddInput("past"+v.key, past), k)
		val = b.Op("Concat", onnx.NewAttrs("axis", -2), g.AddInput("past"+v.val, past), val)
	}
	score := b.Op("MatMul", nil, q, b.Op("Transpose", onnx.NewAttrs("perm", []int64{0, 1, 3, 2}), k))
	score = b.Op("Mul", nil, score, b.Float(tensor.Float32, 1/math.Sqrt(width)))
	total := b.Op("Gather", nil, b.Op("Shape", nil, mask), b.Const(tensor.Scalar(int64(1))))
	at := b.Op("Range", nil, b.Const(tensor.Scalar(int64(0))), total, b.Const(tensor.Scalar(int64(1))))
	pos64 := b.Op("Cast", onnx.NewAttrs("to", int(tensor.Int64)), pos)
	seen := b.Op("LessOrEqual", nil, at, b.Op("Unsqueeze", nil, pos64, b.Ints(1, 3))) // [N,1,S,T]
	seen = b.Op("And", nil, seen, b.Op("Unsqueeze", nil, b.Op("Cast", onnx.NewAttrs("to", int(tensor.Bool)), mask), b.Ints(1, 2)))
	score = b.Op("Where", nil, seen, score, b.Float(tensor.Float32, -1e9))
	y := b.Op("MatMul", nil, b.Op("Softmax", onnx.NewAttrs("axis", -1), score), val)
	logits := b.Op("MatMul", nil, b.Op("Squeeze", nil, b.Op("Add", nil, x, y), b.Ints(1)), matrix(w.head, width))
	require.NoError(t, b.Err())
	b.Insert(nil)
	logits.Name = "logits"
	g.Outputs = []*onnx.Value{logits}
	if v.cache {
		k.Name, val.Name = "present"+v.key, "present"+v.val
		g.Outputs = append(g.Outputs, k, val)
	}
	return m
}

// expected computes the same in plain loops, for the last of the tokens.
func expected(tokens []int) []float64 {
	w := newWeights()
	times := func(x []float64, m []float32) []float64 {
		out := make([]float64, len(m)/len(x))
		for i, a := range x {
			for j := range out {
				out[j] += a * float64(m[i*len(out)+j])
			}
		}
		return out
	}
	var xs [][]float64
	for at, token := range tokens {
		x := make([]float64, width)
		for i := range x {
			x[i] = float64(w.tokens[token*width+i]) + float64(w.positions[at*width+i])
		}
		xs = append(xs, x)
	}
	last := xs[len(xs)-1]
	q := times(last, w.q)
	sum, y := 0.0, make([]float64, width)
	for _, x := range xs {
		dot := 0.0
		for i, k := range times(x, w.k) {
			dot += q[i] * k
		}
		e := math.Exp(dot / math.Sqrt(width))
		sum += e
		for i, v := range times(x, w.v) {
			y[i] += e * v
		}
	}
	for i := range y {
		y[i] = last[i] + y[i]/sum
	}
	return times(y, w.head)
}

func save(t testing.TB, m *onnx.Model) string {
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, onnx.Save(m, path, onnx.SaveOptions{}))
	return path
}

// program runs the program and returns what it printed.
func program(t testing.TB, args ...string) string {
	t.Helper()
	var out, info bytes.Buffer
	require.NoError(t, run(bg, args, &out, &info))
	require.Contains(t, info.String(), "tokens in")
	return strings.TrimSpace(out.String())
}

func TestGreedy(t *testing.T) {
	tokens := []int{3, 1, 4, 1, 5}
	var want []string
	for range 30 {
		best, logits := 0, expected(tokens)
		for i, v := range logits {
			if v > logits[best] {
				best = i
			}
		}
		want = append(want, fmt.Sprint(best))
		tokens = append(tokens, best)
	}
	for _, v := range []variant{
		plain,
		{tensor.Int32, "_0_key", "_0_value", true},
		{tensor.Int64, ".0.key", ".0.value", true},
		{tensor.Int64, "", "", false},
	} {
		path := save(t, decoderModel(t, v))
		require.Equal(t, strings.Join(want, " "), program(t, "-model", path, "-tokens", "3,1,4,1,5", "-n", "30"), v)
		require.Equal(t, strings.Join(want, " "), program(t, "-model", path, "-tokens", "3 1 4 1 5", "-n", "30", "-no-cache"), v)
	}
	path := save(t, decoderModel(t, plain))
	end := 0 // of the text: the first token that was not there before
	for end < len(want) && want[end] == want[0] {
		end++
	}
	require.Less(t, end, len(want))
	require.Equal(t, strings.Join(want[:end+1], " "), program(t, "-model", path, "-tokens", "3,1,4,1,5", "-n", "30", "-end", "39999 "+want[end]))
}

func TestDraws(t *testing.T) {
	path := save(t, decoderModel(t, plain))
	draw := func(args ...string) string {
		return program(t, append([]string{"-model", path, "-tokens", "9", "-n", "25", "-temperature", "1.5"}, args...)...)
	}
	require.Equal(t, draw("-seed", "5"), draw("-seed", "5"))
	require.NotEqual(t, draw("-seed", "5"), draw("-seed", "6"))
	require.Equal(t, draw("-seed", "5", "-top-k", "3"), draw("-seed", "5", "-top-k", "3", "-no-cache"))
	require.Equal(t, program(t, "-model", path, "-tokens", "9", "-n", "25"), draw("-top-k", "1"))
}

func TestSampler(t *testing.T) {
	pick := newSampler(2, 3, 1)
	count := map[int]int{}
	for range 40_000 {
		token, err := pick([]float32{0, 4, 1, float32(math.Inf(-1)), 2})
		require.NoError(t, err)
		count[token]++
	}
	// Among tokens 1, 4, 2: exp(4/2), exp(2/2), exp(1/2).
	sum := math.Exp(2) + math.Exp(1) + math.Exp(0.5)
	require.Len(t, count, 3)
	require.InDelta(t, math.Exp(2)/sum, float64(count[1])/40_000, 0.015)
	require.InDelta(t, math.Exp(1)/sum, float64(count[4])/40_000, 0.015)
	require.InDelta(t, math.Exp(0.5)/sum, float64(count[2])/40_000, 0.015)
	for want, logits := range map[string][]float32{
		"token 1 is NaN": {1, float32(math.NaN())},
		"token 2, is +":  {1, 0, float32(math.Inf(1))},
		"token 0, is -":  {float32(math.Inf(-1))},
	} {
		_, err := pick(logits)
		require.ErrorContains(t, err, want)
	}
	token, err := newSampler(0, 0, 1)([]float32{1, 3, 3})
	require.NoError(t, err)
	require.Equal(t, 1, token)
}

func TestErrors(t *testing.T) {
	small := save(t, decoderModel(t, plain))
	lacking := decoderModel(t, plain)
	lacking.Graph.Outputs = lacking.Graph.Outputs[:2]
	headless := decoderModel(t, plain)
	headless.Graph.Outputs[0].Name = "hidden"
	long := strings.Repeat("1 ", positions+1)
	mlp := filepath.Join("..", "..", "testdata", "models", "mlp_mnist", "model.onnx")
	for want, args := range map[string][]string{
		"-model is missing":       {},
		"-tokens is missing":      {"-model", small, "-tokens", " , "},
		"unexpected argument":     {"-model", small, "12"},
		"flag provided but not":   {"-prompt", "12"},
		`"-1" is not a token id`:  {"-model", small, "-tokens", "4,-1"},
		`"the" is not a token id`: {"-model", small, "-tokens", "the dog"},
		`-end: "x" is not`:        {"-model", small, "-tokens", "1", "-end", "x"},
		"-n must be above 0":      {"-model", small, "-tokens", "1", "-n", "0"},
		"-top-k needs":            {"-model", small, "-tokens", "1", "-top-k", "4"},
		"-temperature NaN":        {"-model", small, "-tokens", "1", "-temperature", "nan"},
		"no such file":            {"-model", "nowhere.onnx", "-tokens", "1"},
		"vocabulary of 40":        {"-model", small, "-tokens", "1,40"},
		"index 64 is not in":      {"-model", small, "-tokens", long},
		"after 5 tokens":          {"-model", small, "-tokens", long[:2*(positions-4)], "-n", "10"},
		`want "present.0.value"`:  {"-model", save(t, lacking), "-tokens", "1"},
		"no output logits":        {"-model", save(t, headless), "-tokens", "1"},
		"is not one that":         {"-model", mlp, "-tokens", "1"},
	} {
		require.ErrorContains(t, run(bg, args, io.Discard, io.Discard), want)
	}
	var help bytes.Buffer
	require.NoError(t, run(bg, []string{"-help"}, &help, io.Discard))
	require.Contains(t, help.String(), "-temperature")
}

func TestEmptyCache(t *testing.T) {
	n, p, h := onnx.Name("N"), onnx.Name("P"), onnx.Size(2)
	ids := onnx.TensorType(tensor.Int64, n, onnx.Name("S"))
	for _, c := range []struct {
		dims []onnx.Dim
		want []int
	}{
		{[]onnx.Dim{n, h, p, h}, []int{1, 2, 0, 2}},
		{[]onnx.Dim{n, p, h, h}, []int{1, 0, 2, 2}},
		{[]onnx.Dim{h, n, h, p, h}, []int{2, 1, 2, 0, 2}}, // keys and values in one
		{[]onnx.Dim{{}, h, {}, h}, []int{1, 2, 0, 2}},     // without names
		{[]onnx.Dim{n, p, p, h}, nil},
		{[]onnx.Dim{n, h, h, h}, nil},
	} {
		got, err := emptyCache(onnx.TensorType(tensor.Float16, c.dims...), ids)
		require.Equal(t, c.want == nil, err != nil, c.dims)
		require.Equal(t, c.want, got)
	}
	_, err := emptyCache(onnx.UnrankedType(tensor.Float32), ids)
	require.Error(t, err)
}

func TestCancel(t *testing.T) {
	path := save(t, decoderModel(t, plain))
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"-model", path, "-tokens", "1", "-n", "60"}, in, io.Discard)
		in.Close()
	}()
	_, err := io.ReadFull(out, make([]byte, 1)) // the first token is on its way
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(out)
	require.NoError(t, err)
	select {
	case err := <-done:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(30 * time.Second):
		t.Fatal("the program does not end")
	}
}

// checkCache generates n tokens with the cache, and computes the logits of each
// step again from the whole text.
func checkCache(t testing.TB, s *gneiss.Session, prompt []int, n int) {
	t.Helper()
	d, err := newDecoder(s, true)
	require.NoError(t, err)
	require.True(t, d.cached)
	whole, err := newDecoder(s, false)
	require.NoError(t, err)
	st, next := &state{}, prompt
	pick := newSampler(0, 0, 0)
	for range n {
		got, err := d.step(bg, st, next)
		require.NoError(t, err)
		want, err := whole.step(bg, &state{}, st.tokens)
		require.NoError(t, err)
		a, err := pick(got)
		require.NoError(t, err)
		b, err := pick(want)
		require.NoError(t, err)
		scale := float64(max(1, want[b]))
		for i := range want {
			if math.Abs(float64(got[i]-want[i])) > 1e-3*scale {
				t.Fatalf("logit %d after %d tokens: %v with cache, %v without", i, len(st.tokens), got[i], want[i])
			}
		}
		if a != b && math.Abs(float64(want[a]-want[b])) > 1e-4*scale { // not a tie
			t.Fatalf("token %d is %d with cache, %d without", len(st.tokens), a, b)
		}
		next = []int{a}
	}
	for _, name := range d.past {
		length := st.cache[name].(*gneiss.Tensor).Shape()
		require.Contains(t, length, len(prompt)+n-1, name)
	}
}

func TestCache(t *testing.T) {
	s, err := runtime.New(decoderModel(t, plain), gneiss.Options{})
	require.NoError(t, err)
	defer s.Close()
	checkCache(t, s, []int{1}, 20)
	checkCache(t, s, []int{0, 39, 17, 17, 2, 8, 8}, 20)
}

func TestModels(t *testing.T) {
	names := []string{"gpt2.dynamo", "gpt2.script", "llama_small.script", "llama_small.dynamo", "llama_small_sdpa.dynamo", "llama_small_int4.nbits"}
	for name, path := range shared.ModelsNamed(t, names...) {
		t.Run(name, func(t *testing.T) {
			s, err := gneiss.Open(path, gneiss.Options{})
			require.NoError(t, err)
			defer s.Close()
			checkCache(t, s, []int{464, 3290, 318, 257, 922}, 6)
		})
	}
}
