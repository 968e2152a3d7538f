package safetensors

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/tensor"
)

func file(header string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func TestRoundTrip(t *testing.T) {
	in := map[string]*tensor.Tensor{
		"w": tensor.Of([]float32{1, -2, 3.5}, 3), "half": tensor.Of([]tensor.F16{tensor.F16Of(0.5)}, 1), "scalar": tensor.Scalar(int64(7)),
		"empty": tensor.New(tensor.Float64, 0, 4), "flags": tensor.Of([]bool{true, false}, 1, 2), "b": tensor.Of([]uint8{9}, 1),
	}
	path := filepath.Join(t.TempDir(), "a.safetensors")
	require.NoError(t, WriteFile(path, in, map[string]string{"step": "12"}))
	out, meta, err := ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"step": "12"}, meta)
	require.Len(t, out, len(in))
	for name, x := range in {
		require.Equal(t, x.DType(), out[name].DType(), name)
		require.Equal(t, x.Shape(), out[name].Shape(), name)
		require.Equal(t, x.Bytes(), out[name].Bytes(), name)
	}
	list, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, list, 1, "a temporary file is left")
}

// The example of the format's description, byte by byte.
func TestFormat(t *testing.T) {
	var w bytes.Buffer
	require.NoError(t, Write(&w, map[string]*tensor.Tensor{"x": tensor.Of([]int16{1, 2}, 2)}, nil))
	header := `{"x":{"dtype":"I16","shape":[2],"data_offsets":[0,4]}}`
	require.Equal(t, file(header+"  ", 1, 0, 2, 0), w.Bytes())
}

func TestBadFiles(t *testing.T) {
	for name, b := range map[string][]byte{
		"0 bytes":          nil,
		"a header of":      binary.LittleEndian.AppendUint64(nil, 1<<62),
		"header: ":         file("{"),
		"has bytes 0 to 8": file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`, 1, 2, 3),
		"has bytes 4 to 0": file(`{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 1, 2, 3, 4),
		"has bytes 0 to 4": file(`{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 1, 2, 3, 4),
		`dtype "F8_E5M2"`:  file(`{"x":{"dtype":"F8_E5M2","shape":[1],"data_offsets":[0,1]}}`, 1),
		`tensor "x"`:       file(`{"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`),
		"dimension -1":     file(`{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,0]}}`),
		"metadata":         file(`{"__metadata__":3}`),
	} {
		_, _, err := Read(bytes.NewReader(b), int64(len(b)))
		require.ErrorContains(t, err, name)
	}
	require.ErrorContains(t, Write(&bytes.Buffer{}, map[string]*tensor.Tensor{"s": tensor.Of([]string{"a"}, 1)}, nil), "does not have")
}

func FuzzRead(f *testing.F) {
	f.Add(file(`{"x":{"dtype":"I16","shape":[2],"data_offsets":[0,4]}}  `, 1, 0, 2, 0))
	f.Fuzz(func(t *testing.T, b []byte) { _, _, _ = Read(bytes.NewReader(b), int64(len(b))) })
}
