package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/leak"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMain(m *testing.M) { leak.Main(m) }

var bg = context.Background()

func program(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, run(bg, args, &out))
	return out.String()
}

// text writes sentences of a few words, which a small model learns.
func text(t *testing.T, sentences int) string {
	r := rand.New(rand.NewPCG(1, 1))
	words := strings.Fields("light rays glass prism colour white red violet sun")
	var b strings.Builder
	for range sentences {
		fmt.Fprintf(&b, "the %s of the %s.\n", words[r.IntN(len(words))], words[r.IntN(len(words))])
	}
	path := filepath.Join(t.TempDir(), "text")
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o666))
	return path
}

// A tiny model learns the sentences almost as well as can be: a word is ln 9 in about 22
// characters, twice. What its file writes is made of them.
func TestLearn(t *testing.T) {
	path, dir := text(t, 1500), t.TempDir()
	file, run := filepath.Join(dir, "m.onnx"), filepath.Join(dir, "run.npz")
	out := program(t, "-text", path, "-o", file, "-dump", run, "-context", "32", "-width", "32", "-layers", "2", "-epochs", "4", "-rate", "0.01", "-threads", "2")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 4)
	var loss, validation, seconds float64
	_, err := fmt.Sscanf(lines[3], "epoch 4/4: loss %f, validation %f, %f s", &loss, &validation, &seconds)
	require.NoError(t, err, out)
	require.Less(t, validation, 0.28)
	require.Greater(t, validation, 0.15)

	written := program(t, "-sample", file, "-prompt", "the ", "-length", "300", "-temperature", "0.5")
	require.Len(t, written, 4+300+1)
	require.Equal(t, written, program(t, "-sample", file, "-prompt", "the ", "-length", "300", "-temperature", "0.5"))
	right := strings.Count(written, " of the ")
	require.Greater(t, right, 8, written)

	f, err := os.Open(run)
	require.NoError(t, err)
	defer f.Close()
	st, err := f.Stat()
	require.NoError(t, err)
	arrays, err := tensor.ReadNPZ(f, st.Size(), 1<<26)
	require.NoError(t, err)
	for _, a := range arrays {
		if a.Name == "train" {
			require.Equal(t, []int{batchSize, 33}, a.Tensor.Shape()[1:])
			return
		}
	}
	t.Fatal("the dump has no batches")
}

func TestWindows(t *testing.T) {
	w := windows{ids: []int64{0, 1, 2, 3, 4, 5, 6}, length: 3, stride: 2}
	require.Equal(t, 2, w.Len())
	b, err := w.Batch(bg, []int{1, 0})
	require.NoError(t, err)
	require.Equal(t, []int64{2, 3, 4, 0, 1, 2}, tensor.Data[int64](b["x"]))
	require.Equal(t, []int64{3, 4, 5, 1, 2, 3}, tensor.Data[int64](b["target"]))
	require.Zero(t, windows{ids: make([]int64, 3), length: 3, stride: 2}.Len())
	require.Equal(t, 1, windows{ids: make([]int64, 4), length: 3, stride: 2}.Len())
}

func TestErrors(t *testing.T) {
	short := filepath.Join(t.TempDir(), "short")
	require.NoError(t, os.WriteFile(short, []byte("too short"), 0o666))
	for want, args := range map[string]string{
		"see -help":            "-nope",
		`what is "text"`:       "text",
		"a multiple of -heads": "-width 10 -heads 3",
		"has no windows":       "-text " + short,
		"make no batch":        "-context 4 -text " + text(t, 3),
		"nothing.txt":          "-text nothing.txt",
		"no vocabulary":        "-sample ../../testdata/models/mlp_mnist/model.onnx",
	} {
		require.ErrorContains(t, run(bg, strings.Fields(args), &bytes.Buffer{}), want)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	require.ErrorIs(t, run(ctx, []string{"-text", text(t, 300), "-context", "8", "-o", filepath.Join(t.TempDir(), "x.onnx")}, &bytes.Buffer{}), context.Canceled)
	require.Contains(t, program(t, "-help"), "-temperature")
}
