package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPage: the page in docs is the one that its data make.
func TestPage(t *testing.T) {
	docs := filepath.Join("..", "..", "docs")
	runs, err := read(docs)
	require.NoError(t, err)
	require.NotEmpty(t, runs)
	got, err := os.ReadFile(filepath.Join(docs, "performance.md"))
	require.NoError(t, err)
	require.Equal(t, page(runs), string(got), "run go run ./internal/results page")
	for _, r := range runs {
		svg, err := os.ReadFile(filepath.Join(docs, "results", r.Name+".svg"))
		require.NoError(t, err)
		require.Equal(t, plot(r), string(svg), "run go run ./internal/results page")
	}
}

func TestAdd(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.json")
	flags := []string{"add", "-docs", dir, "-name", "m", "-machine", "A <machine>", "-date", "2026-01-02", "-commit", "c0ffee", "-command", "compare.py models"}
	require.NoError(t, os.WriteFile(in, []byte(`{"rows": [
		{"model": "b_int8", "threads": 2, "ours_ms": 1, "ort_ms": 4, "ratio": 0.25, "load_ratio": 0.5, "rss_ratio": 1},
		{"model": "a", "threads": 1, "ours_ms": 2, "ort_ms": 1, "ratio": 2, "load_ratio": 0.5, "rss_ratio": 1},
		{"model": "a", "threads": 2, "ours_ms": 4, "ort_ms": 1, "ratio": 4, "load_ratio": 0.5, "rss_ratio": 1}], "failed": [["c", 1, "wrong output"]]}`), 0o644))
	require.ErrorContains(t, command([]string{"add", "-docs", dir, in}), "want -name")
	require.NoError(t, command(append(flags, in)))
	require.NoError(t, command([]string{"page", "-docs", dir}))
	b, err := os.ReadFile(filepath.Join(dir, "performance.md"))
	require.NoError(t, err)
	for _, want := range []string{"## A <machine>", "compare.py models", "| float32 | 1 | 1 | 2.00 | 2.00 (a) | 0.50 | 1.00 |",
		"beyond the benchmark's rule:\n\n- c with 1 threads: wrong output\n", "| int8 and int4 | 2 | 1 | 0.25 |", "| all | 2 | 2 | 1.00 | 4.00 (a) |", "| a | 1 | 2.000 | 1.000 | 2.00 | 0.50 | 1.00 |"} {
		require.Contains(t, string(b), want)
	}
	f, err := os.Open(filepath.Join(dir, "results", "m.svg"))
	require.NoError(t, err)
	defer f.Close()
	circles := 0
	for d := xml.NewDecoder(f); ; {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		if s, ok := tok.(xml.StartElement); ok && s.Name.Local == "circle" {
			circles++
		}
	}
	require.Equal(t, 3+2, circles) // rows and the legend
	require.NoError(t, os.WriteFile(in, []byte(`{"rows": [], "failed": [["a"]]}`), 0o644))
	require.ErrorContains(t, command(append(flags, in)), "want model, threads and why")
	require.ErrorContains(t, command([]string{"draw"}), "want add or page")
	require.False(t, strings.Contains(string(b), "NaN"))
}
