package parquet

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

type row struct {
	A     float32   `parquet:"a"`
	B     float64   `parquet:"b"`
	ID    int64     `parquet:"id"`
	Big   uint64    `parquet:"big"`
	On    bool      `parquet:"on"`
	Text  string    `parquet:"text"`
	Maybe *float32  `parquet:"maybe,optional"`
	List  []float32 `parquet:"list"`
	G     struct {
		X int32 `parquet:"x"`
	} `parquet:"g"`
}

func file(t *testing.T, n, group int) string {
	t.Helper()
	var rows []row
	for i := range n {
		r := row{A: float32(i) + 0.5, B: float64(-i), ID: int64(i) << 40, Big: 1<<64 - 1, On: i%2 == 1, Text: "t", List: make([]float32, i%3)}
		r.G.X = int32(7 * i)
		if i != 3 {
			r.Maybe = &r.A
		}
		rows = append(rows, r)
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.MaxRowsPerRowGroup(int64(group)), parquet.Compression(&parquet.Snappy))
	_, err := w.Write(rows)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	p := filepath.Join(t.TempDir(), "t.parquet")
	require.NoError(t, os.WriteFile(p, b.Bytes(), 0o644))
	return p
}

func input(name string, d tensor.DType, dims ...onnx.Dim) data.Input {
	return data.Input{Name: name, Type: onnx.TensorType(d, dims...)}
}

func batches(path string, o data.Options) ([]data.Batch, error) {
	src, err := data.Open(path, o)
	if err != nil {
		return nil, err
	}
	var bs []data.Batch
	for b, err := range src.Batches(context.Background()) {
		if err != nil {
			return nil, err
		}
		bs = append(bs, b)
	}
	if len(bs) != src.Len() {
		panic("Len is wrong")
	}
	return bs, nil
}

func TestRows(t *testing.T) {
	path := file(t, 150, 70)
	n := onnx.Name("N")
	for range 2 {
		bs, err := batches(path, data.Options{
			BatchSize: 100,
			Inputs: []data.Input{
				input("x", tensor.Float32, n, onnx.Size(3)), input("id", tensor.Int64, n), input("big", tensor.Uint64, n),
				input("on", tensor.Bool, n), input("text", tensor.String, n),
			},
			Columns: map[string][]string{"x": {"b", "a", "g.x"}},
		})
		require.NoError(t, err)
		require.Len(t, bs, 2)
		require.Equal(t, path+", rows 101 to 150", bs[1].Name)
		require.Equal(t, []float32{-101, 101.5, 707}, tensor.Data[float32](bs[1].Inputs["x"])[3:6])
		require.Equal(t, int64(101)<<40, tensor.Data[int64](bs[1].Inputs["id"])[1])
		require.Equal(t, uint64(1<<64-1), tensor.Data[uint64](bs[1].Inputs["big"])[1])
		require.Equal(t, []bool{false, true}, tensor.Data[bool](bs[1].Inputs["on"])[:2])
		require.Equal(t, "t", tensor.Data[string](bs[1].Inputs["text"])[0])
	}
}

func TestErrors(t *testing.T) {
	path := file(t, 10, 100)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	scalar := func(name string) data.Options {
		return data.Options{Inputs: []data.Input{input(name, tensor.Float32, onnx.Name("N"))}, Columns: map[string][]string{name: {name}}}
	}
	_, err = batches(path, scalar("list"))
	require.ErrorContains(t, err, `it has no column "list"`)
	require.ErrorContains(t, err, path)
	_, err = batches(path, scalar("maybe"))
	require.ErrorContains(t, err, `row 4: column "maybe": "" is no float32`)
	bad := filepath.Join(t.TempDir(), "bad.parquet")
	for _, b := range [][]byte{nil, []byte("PAR1"), whole[:len(whole)/2], whole[len(whole)/2:]} {
		require.NoError(t, os.WriteFile(bad, b, 0o644))
		_, err = batches(bad, scalar("a"))
		require.ErrorContains(t, err, bad)
	}
	for i := 4; i < len(whole); i += 3 { // damage never panics
		b := bytes.Clone(whole)
		b[i] ^= 0xff
		require.NoError(t, os.WriteFile(bad, b, 0o644))
		_, _ = batches(bad, scalar("a"))
	}
}
