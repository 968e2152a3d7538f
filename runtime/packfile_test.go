package runtime_test

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/internal/cpu"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// packedModel has weights of all forms that are kept, and some that are not.
func packedModel(t testing.TB, seed uint64) *onnx.Model {
	m, g, b := model()
	r := rand.New(rand.NewPCG(seed, 9))
	weights := func(shape ...int) *onnx.Value {
		n, _ := tensor.Count(shape)
		d := make([]float32, n)
		for i := range d {
			d[i] = float32(r.NormFloat64()) / 16
		}
		return b.Const(tensor.Of(d, shape...))
	}
	conv := func(x *onnx.Value, as onnx.Attrs, w *onnx.Value) *onnx.Value {
		return b.Op("Relu", nil, b.Op("Conv", as, x, w))
	}
	pads := func(n, group int) onnx.Attrs { return onnx.NewAttrs("pads", []int{n, n, n, n}, "group", group) }
	x := g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Sizes(1, 32, 40, 40)...))
	v := conv(x, pads(1, 1), weights(64, 32, 3, 3))  // Winograd
	v = conv(v, pads(0, 1), weights(128, 64, 1, 1))  // plain
	v = conv(v, pads(3, 128), weights(128, 1, 7, 7)) // depthwise
	v = conv(v, pads(1, 4), weights(128, 32, 3, 3))  // groups
	v = b.Op("ConvTranspose", nil, v, weights(128, 32, 2, 2))
	v = b.Op("Flatten", nil, b.Op("GlobalAveragePool", nil, v))
	v = b.Op("MatMul", nil, v, weights(32, 300))
	v = b.Op("Gemm", onnx.NewAttrs("transB", 1), v, weights(70, 300), weights(70))
	h := b.Op("MatMul", nil, b.Op("Cast", onnx.NewAttrs("to", tensor.Float16), v), b.Op("Cast", onnx.NewAttrs("to", tensor.Float16), weights(70, 200)))
	v = b.Op("MatMul", nil, b.Op("Cast", onnx.NewAttrs("to", tensor.Float64), h), b.Op("Cast", onnx.NewAttrs("to", tensor.Float64), weights(200, 40)))
	require.NoError(t, b.Err())
	b.Insert(nil)
	v.Name = "y"
	g.Outputs = []*onnx.Value{v}
	return m
}

// packedRun opens the model of that seed with the file, or without, and returns what it computes.
func packedRun(t testing.TB, seed uint64, o runtime.Options) []float64 {
	s, err := runtime.New(packedModel(t, seed), o)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	x := tensor.New(tensor.Float32, 1, 32, 40, 40)
	for i, d := 0, tensor.Data[float32](x); i < len(d); i++ {
		d[i] = float32(i%17)/8 - 1
	}
	out, err := s.Run(bg, map[string]tensor.Value{"x": x})
	require.NoError(t, err)
	return tensor.Data[float64](out["y"].(*tensor.Tensor))
}

func TestPackFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.packed")
	o := runtime.Options{PackFile: path}
	want := packedRun(t, 1, runtime.Options{})
	require.Equal(t, want, packedRun(t, 1, o))
	file, err := os.ReadFile(path)
	require.NoError(t, err)
	kinds := []string{`"nhwc","Header":[0,`, `"half"`, `"gemm float32"`, `"gemm float64"`}
	if cpu.Level() != cpu.Generic {
		kinds = append(kinds, `"nhwc","Header":[1,`, `"nhwc","Header":[2,`)
	}
	for _, kind := range kinds {
		require.Contains(t, string(file), kind)
	}
	before, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, want, packedRun(t, 1, o))
	after, err := os.Stat(path)
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after), "the file was written again")

	// Its numbers are what is computed with.
	for i := len(file) - 4096; i < len(file); i++ {
		file[i] ^= 1
	}
	require.NoError(t, os.WriteFile(path, file, 0o644))
	require.NotEqual(t, want, packedRun(t, 1, o))
	require.NoError(t, os.Remove(path))

	// Other weights in the same places are not taken from it.
	packedRun(t, 1, o)
	require.Equal(t, packedRun(t, 2, runtime.Options{}), packedRun(t, 2, o))
	require.Equal(t, want, packedRun(t, 1, o))
}

func TestPackFileTogether(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.packed")
	want := packedRun(t, 1, runtime.Options{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 4 {
				if got := packedRun(t, 1, runtime.Options{PackFile: path}); got[0] != want[0] || got[39] != want[39] {
					t.Errorf("got %v, want %v", got, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestPackFileThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.packed")
	want := packedRun(t, 1, runtime.Options{PackFile: path})
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	var log bytes.Buffer
	o := runtime.Options{PackFile: path, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	for name, bad := range map[string][]byte{
		"empty": {}, "other": []byte("hello"), "short": good[:len(good)/2], "head": good[:30],
		"version": append([]byte("gneiss packed weights 0\n"), good[24:]...),
		"index":   append(append(bytes.Clone(good[:100]), 'x'), good[101:]...),
		"length":  append(append(bytes.Clone(good[:24]), 255, 255, 255, 255, 255, 255, 255, 255), good[32:]...),
	} {
		log.Reset()
		require.NoError(t, os.WriteFile(path, bad, 0o644))
		require.Equal(t, want, packedRun(t, 1, o), name)
		require.Contains(t, log.String(), "cannot be used", name)
		again, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, good, again, "%s: the file is not mended", name)
	}
	log.Reset()
	o.PackFile = filepath.Join(dir, "none", "m.packed")
	require.Equal(t, want, packedRun(t, 1, o))
	require.Contains(t, log.String(), "cannot be written")
	o.PackFile = dir
	require.Equal(t, want, packedRun(t, 1, o))
}

// An index that says what it likes, under a right checksum, must not bring the process down.
func TestPackFileLies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m.packed")
	packedRun(t, 1, runtime.Options{PackFile: path})
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	n := int(binary.LittleEndian.Uint64(good[24:]))
	r := rand.New(rand.NewPCG(4, 4))
	for range 60 {
		bad := bytes.Clone(good)
		index := bad[36:][:n]
		for range 1 + r.IntN(3) {
			i := r.IntN(len(strings.TrimRight(string(index), " ")))
			if index[i] >= '0' && index[i] <= '9' {
				index[i] = byte('0' + r.IntN(10))
			}
		}
		binary.LittleEndian.PutUint32(bad[32:], crc32.Checksum(index, crc32.MakeTable(crc32.Castagnoli)))
		require.NoError(t, os.WriteFile(path, bad, 0o644))
		s, err := runtime.New(packedModel(t, 1), runtime.Options{PackFile: path})
		if err == nil {
			_, err = s.Run(bg, map[string]tensor.Value{"x": tensor.New(tensor.Float32, 1, 32, 40, 40)})
			require.NoError(t, s.Close())
		}
		if err != nil {
			require.NotContains(t, err.Error(), "internal error")
		}
	}
}
