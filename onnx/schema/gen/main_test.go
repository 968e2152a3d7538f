package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "s.json"), filepath.Join(dir, "s.gz")
	require.NoError(t, os.WriteFile(from, []byte(`[{"domain":"ai.onnx","name":"Abs","since":1,"inputs":[{"name":"X","type":"T","option":"single"}],
		"attributes":{"a":{"type":"INT","required":false,"default":3}},"types":{"T":["tensor(float)"]}}]`), 0o600))
	require.NoError(t, run(from, to))
	first, err := os.ReadFile(to)
	require.NoError(t, err)
	require.NoError(t, run(from, to))
	second, err := os.ReadFile(to)
	require.NoError(t, err)
	assert.Equal(t, first, second, "the same input makes the same file")

	require.NoError(t, os.WriteFile(from, []byte(`[{"nmae":"Abs"}]`), 0o600))
	require.ErrorContains(t, run(from, to), "nmae")
	require.Error(t, run(filepath.Join(dir, "none"), to))
}

// The committed table is what its source makes.
func TestCurrent(t *testing.T) {
	shared := os.Getenv("GNEISS_SHARED")
	if shared == "" {
		shared = filepath.Join("..", "..", "..", "..", "shared")
	}
	b, err := os.ReadFile(filepath.Join(shared, "conformance", "schema.json"))
	if os.IsNotExist(err) && os.Getenv("CI") != "true" {
		t.Skip("no schema.json")
	}
	require.NoError(t, err)
	want, err := pack(b)
	require.NoError(t, err)
	got, err := os.ReadFile(filepath.Join("..", "schema.json.gz"))
	require.NoError(t, err)
	assert.True(t, string(want) == string(got), "run go generate ./onnx/schema")
}
