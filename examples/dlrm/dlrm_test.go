package main

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/leak"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestMain(m *testing.M) { leak.Main(m) }

var bg = context.Background()

// The loss falls, and the AUC comes near that of the true probabilities.
func TestLearn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.onnx")
	var out bytes.Buffer
	require.NoError(t, run(bg, strings.Fields("-clicks 120000 -epochs 4 -threads 2 -o "+path), &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 5)
	var before, last, v, a float64
	_, err := fmt.Sscanf(lines[0], "epoch 1/4: loss %f, validation %f, AUC %f", &before, &v, &a)
	require.NoError(t, err)
	_, err = fmt.Sscanf(lines[3], "epoch 4/4: loss %f, validation %f, AUC %f", &last, &v, &a)
	require.NoError(t, err)
	require.Less(t, last, before-0.03)
	var loss, auc, least, best float64
	_, err = fmt.Sscanf(lines[4], "test: loss %f, AUC %f; true probabilities: loss %f, AUC %f", &loss, &auc, &least, &best)
	require.NoError(t, err)
	t.Log(lines[4])
	require.Greater(t, best, auc)
	require.Greater(t, loss, least)
	require.Greater(t, (auc-0.5)/(best-0.5), 0.9)

	m, err := onnx.Open(path, onnx.DecodeOptions{})
	require.NoError(t, err)
	defer m.Close()
	require.Empty(t, onnx.Check(m))
}

func TestClicks(t *testing.T) {
	c := newClicks(3, 20000)
	require.Equal(t, c.Arrays, newClicks(3, 20000).Arrays)
	clicked, p := 0.0, 0.0
	for i, y := range tensor.Data[float32](c.Arrays["target"]) {
		clicked += float64(y) / 20000
		p += 1 / (1 + math.Exp(-float64(tensor.Data[float32](c.logits)[i]))) / 20000
		for k, n := range sizes {
			id := tensor.Data[int64](c.Arrays["categories"])[i*len(sizes)+k]
			require.True(t, id >= 0 && id < int64(n))
		}
	}
	require.InDelta(t, p, clicked, 0.01)
	loss, auc, err := c.best(0)
	require.NoError(t, err)
	require.Less(t, loss, -clicked*math.Log(clicked)-(1-clicked)*math.Log(1-clicked)-0.1, "clicks follow from little")
	require.Greater(t, auc, 0.75)
	require.Less(t, auc, 0.95)
}

func TestErrors(t *testing.T) {
	for want, args := range map[string]string{"see -help": "-nope", `what is "text"`: "text", "want -clicks of at least": "-clicks 5"} {
		require.ErrorContains(t, run(bg, strings.Fields(args), &bytes.Buffer{}), want)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	require.ErrorIs(t, run(ctx, []string{"-clicks", "1000"}, &bytes.Buffer{}), context.Canceled)
	var out bytes.Buffer
	require.NoError(t, run(bg, []string{"-help"}, &out))
	require.Contains(t, out.String(), "-clicks")
}
