package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	_ "image/png"
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

// bars writes images of 4×4 pixels with one bright row or column, as x.
func bars(t *testing.T, n int, change func(x []float32)) string {
	x, r := tensor.New(tensor.Float32, n, 16), rand.New(rand.NewPCG(1, 1))
	for i := range n {
		first, step := r.IntN(4), 4
		if r.IntN(2) == 0 {
			first, step = 4*first, 1
		}
		for k := range 4 {
			tensor.Data[float32](x)[16*i+first+k*step] = 1
		}
	}
	if change != nil {
		change(tensor.Data[float32](x))
	}
	path := filepath.Join(t.TempDir(), "bars.npz")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, tensor.WriteNPZ(f, []tensor.Named{{Name: "x", Tensor: x}}))
	require.NoError(t, f.Close())
	return path
}

// The loss falls, and most of the images that the written decoder draws are bars.
func TestLearn(t *testing.T) {
	dir := t.TempDir()
	encoder, decoder, picture := filepath.Join(dir, "e.onnx"), filepath.Join(dir, "d.onnx"), filepath.Join(dir, "s.png")
	var out bytes.Buffer
	require.NoError(t, run(bg, []string{"-data", bars(t, 1000, nil), "-encoder", encoder, "-decoder", decoder, "-hidden", "48", "-code", "3", "-epochs", "60", "-threads", "2"}, &out))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 60)
	loss := func(i int) (a, b float64) {
		_, err := fmt.Sscanf(lines[i], fmt.Sprintf("epoch %d/60: loss %%f, validation %%f", i+1), &a, &b)
		require.NoError(t, err)
		return a, b
	}
	first, _ := loss(0)
	last, validation := loss(59)
	require.Greater(t, first, 8.0) // 16·ln 2 is 11
	require.Less(t, last, 4.5)     // ln 8 is 2.1
	require.Less(t, validation, last)

	require.NoError(t, run(bg, []string{"-decoder", decoder, "-draw", picture}, &out))
	f, err := os.Open(picture)
	require.NoError(t, err)
	defer f.Close()
	img, _, err := image.Decode(f)
	require.NoError(t, err)
	require.Equal(t, image.Rect(0, 0, 8*65, 8*65), img.Bounds())
	plausible := 0
	for i := range rows * rows {
		var across, down [4]int
		bright := 0
		for p := range 16 {
			if v := img.(*image.Gray).GrayAt(i%rows*65+p%4*16+8, i/rows*65+p/4*16+8).Y; v > 127 {
				bright, across[p/4], down[p%4] = bright+1, across[p/4]+1, down[p%4]+1
			}
		}
		if bright == 4 && (max(across[0], across[1], across[2], across[3]) == 4 || max(down[0], down[1], down[2], down[3]) == 4) {
			plausible++
		}
	}
	t.Logf("%d of 64 are bars; loss %.3f, validation %.3f", plausible, last, validation)
	require.Greater(t, plausible, 35)
}

func TestErrors(t *testing.T) {
	for want, args := range map[string]string{
		"see -help":                          "-nope",
		`what is "text"`:                     "text",
		"want -hidden, -code":                "-code 0",
		"nothing.npz":                        "-data nothing.npz",
		"x[2, 5] is 1.5, want a number from": "-data " + bars(t, 4, func(x []float32) { x[37] = 1.5 }),
		"is it a decoder?":                   "-draw x.png -decoder ../../testdata/models/mlp_mnist/model.onnx",
		"want float32 [images, side·side]":   "-data ../../testdata/models/mlp_mnist/test_data_set_0",
	} {
		require.ErrorContains(t, run(bg, strings.Fields(args), &bytes.Buffer{}), want)
	}
	ctx, cancel := context.WithCancel(bg)
	cancel()
	require.ErrorIs(t, run(ctx, []string{"-data", bars(t, 100, nil)}, &bytes.Buffer{}), context.Canceled)
	var out bytes.Buffer
	require.NoError(t, run(bg, []string{"-help"}, &out))
	require.Contains(t, out.String(), "-draw")
}
