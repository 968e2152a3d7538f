package onnx_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestFiles(t *testing.T) {
	g := onnx.NewGraph("g", map[string]int{"": 17})
	w := g.NewConst("w", tensor.New(tensor.Float32, 1024))
	n := g.NewNode("Identity", nil, []*onnx.Value{w}, 1)
	g.Insert(nil, n)
	n.Out[0].Name, n.Out[0].Type = "y", onnx.TypeOf(w.Const)
	g.Outputs = n.Out
	m := &onnx.Model{Graph: g, Opsets: g.Opsets, IRVersion: 10}
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.onnx"), filepath.Join(dir, "two.onnx")
	require.NoError(t, onnx.Save(m, one, onnx.SaveOptions{}))
	require.NoError(t, onnx.Save(m, two, onnx.SaveOptions{External: 1}))

	files, err := onnx.Files(one)
	require.NoError(t, err)
	require.Equal(t, []string{one}, files)
	files, err = onnx.Files(two)
	require.NoError(t, err)
	require.Equal(t, []string{two, two + ".data"}, files)
	_, err = onnx.Files(filepath.Join(dir, "none.onnx"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
