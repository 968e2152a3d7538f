package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/leak"
	"github.com/gneiss-run/gneiss/onnx"
)

func TestMain(m *testing.M) { leak.Main(m) }

var bg = context.Background()

func program(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(bg, args, strings.NewReader(stdin), &out))
	return out.String()
}

// A smaller network on fewer texts learns, and so well that it must have seen
// negations: the mean of the same embeddings does not get there. The file alone
// gives the accuracy of training.
func TestLearn(t *testing.T) {
	accuracy := func(path string, args ...string) float64 {
		out := program(t, "", append([]string{"-o", path, "-texts", "8000", "-vocabulary", "1000", "-width", "32", "-epochs", "9", "-threads", "2"}, args...)...)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		var loss, trained, file float64
		_, err := fmt.Sscanf(strings.Replace(lines[len(lines)-1], path, "file", 1), "test: loss %f, accuracy %f; file: accuracy %f", &loss, &trained, &file)
		require.NoError(t, err, out)
		require.InDelta(t, trained, file, 1e-9)
		return trained
	}
	dir := t.TempDir()
	rnn, bag := accuracy(filepath.Join(dir, "rnn.onnx")), accuracy(filepath.Join(dir, "bag.onnx"), "-bag")
	t.Logf("accuracy: RNN %.4f, bag of words %.4f", rnn, bag)
	require.Greater(t, rnn, 0.88)
	require.Less(t, bag, rnn-0.1)

	texts := corpus(77, 3, 0)
	var in strings.Builder
	for _, r := range texts {
		in.WriteString(r.text + "\n")
	}
	out := program(t, in.String()+"words that nobody knows\n", "-classify", filepath.Join(dir, "rnn.onnx"))
	require.Regexp(t, `^((positive|negative)\t[01]\.\d{3}\n){4}$`, out)

	m, err := onnx.Open(filepath.Join(dir, "rnn.onnx"), onnx.DecodeOptions{})
	require.NoError(t, err)
	defer m.Close()
	require.Empty(t, onnx.Check(m))
}

func TestCorpus(t *testing.T) {
	a, b := corpus(1, 2000, 0), corpus(1, 2000, 0)
	require.Equal(t, a, b)
	require.NotEqual(t, a, corpus(2, 2000, 0))
	positive, words := 0, map[string]bool{}
	for _, r := range a {
		if r.positive {
			positive++
		}
		f := strings.Fields(r.text)
		require.LessOrEqual(t, len(f), length)
		for _, w := range f {
			words[w] = true
		}
	}
	require.InDelta(t, 1000, positive, 100)
	require.Greater(t, len(words), 2000)
	// With noise, other draws follow, but the first text is the same.
	require.Equal(t, a[0].text, corpus(1, 1, 1)[0].text)
	require.NotEqual(t, a[0].positive, corpus(1, 1, 1)[0].positive)
	require.Equal(t, 3, strings.Count(program(t, "", "-print", "3"), "\n"))
}

func TestEncode(t *testing.T) {
	id := ids([]string{"<padding>", "<unknown>", "good", "film"})
	row := make([]int64, 4)
	encode("Good  movie film", id, row)
	require.Equal(t, []int64{padding, 2, unknown, 3}, row)
	encode("film film film film good", id, row)
	require.Equal(t, []int64{3, 3, 3, 2}, row)
	encode("", id, row)
	require.Equal(t, make([]int64, 4), row)
	require.Equal(t, []string{"<padding>", "<unknown>", "b", "a"}, vocabulary([]review{{text: "a b b"}, {text: "b a c"}}, 4))
}

func TestErrors(t *testing.T) {
	for want, args := range map[string]string{
		"see -help":          "-nope",
		`what is "text"`:     "text",
		"-texts of at least": "-texts 5",
		"nothing.onnx":       "-classify nothing.onnx",
		"has no vocabulary":  "-classify ../../testdata/models/rnn_textclf/model.onnx",
	} {
		require.ErrorContains(t, run(bg, strings.Fields(args), strings.NewReader("x\n"), &bytes.Buffer{}), want)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	require.ErrorIs(t, run(ctx, []string{"-texts", "200", "-o", filepath.Join(t.TempDir(), "x.onnx")}, nil, &bytes.Buffer{}), context.Canceled)
	require.Contains(t, program(t, "", "-help"), "-classify")
}
