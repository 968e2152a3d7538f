package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/runtime"
)

func TestBenchJSON(t *testing.T) {
	r := ok(t, "bench", modelOf("gru_forecast"), "--data", dataOf("gru_forecast"), "--threads", "1", "--warmup", "1", "--runs", "3", "--json")
	v := r.object(t)
	keys(t, v, "model", "threads", "isa", "warmup", "runs", "median_ns", "min_ns", "p90_ns", "mean_ns", "load_ns", "peak_rss_bytes", "max_abs_err", "max_rel_err", "ok")
	assert.Equal(t, true, v["ok"])
	assert.Equal(t, 3.0, v["runs"])
	assert.Equal(t, 1.0, v["threads"])
	assert.LessOrEqual(t, v["min_ns"], v["median_ns"])
	assert.LessOrEqual(t, v["median_ns"], v["p90_ns"])
	assert.Positive(t, v["load_ns"])
	assert.Positive(t, v["peak_rss_bytes"])
	assert.Less(t, v["max_abs_err"], 1e-3)
	assert.NotContains(t, v, "profile")

	old := writeFile(t, "old.json", []byte(r.out))
	v = ok(t, "bench", modelOf("gru_forecast"), "--runs", "2", "--compare", old, "--json").object(t)
	keys(t, v["compare"].(map[string]any), "file", "median_ratio", "min_ratio", "load_ratio", "rss_ratio")
	assert.Contains(t, ok(t, "bench", modelOf("gru_forecast"), "--runs", "1", "--compare", old).out, "median × ")
	r = gneiss(t, "bench", modelOf("gru_forecast"), "--compare", writeFile(t, "x.json", []byte("{}")))
	assert.Contains(t, r.err, "no median_ns")
}

func TestBenchProfile(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace.json")
	r := ok(t, "bench", modelOf("transformer_tiny"), "--dim", "batch=2", "--dim", "sequence=8", "--runs", "2", "--profile", trace)
	for _, want := range []string{"median", "p90", "p99", "GFLOP/s", "of peak", "read from memory", "MatMul", "slowest nodes", "float32 ["} {
		assert.Contains(t, r.out, want)
	}
	b, err := os.ReadFile(trace)
	require.NoError(t, err)
	var events struct {
		TraceEvents []struct {
			Ph   string
			Name string
			Dur  float64
		}
	}
	require.NoError(t, json.Unmarshal(b, &events))
	assert.Greater(t, len(events.TraceEvents), 20)
	assert.Equal(t, "X", events.TraceEvents[0].Ph)

	v := ok(t, "bench", modelOf("transformer_tiny"), "--runs", "1", "--profile", trace, "--json").object(t)
	p := v["profile"].(map[string]any)
	assert.Len(t, p["slowest"], 10)
	machine := p["machine"].(map[string]any)
	keys(t, machine, "threads", "float32_flops", "int8_ops", "read_bytes")
	sum := 0.0
	for _, o := range p["operators"].([]any) {
		sum += o.(map[string]any)["share"].(float64)
		assert.Positive(t, o.(map[string]any)["of_peak"])
	}
	assert.InDelta(t, 1, sum, 1e-6)
	bad := gneiss(t, "bench", modelOf("transformer_tiny"), "--runs", "1", "--profile", filepath.Join(trace, "x"))
	assert.Equal(t, exitFailed, bad.code)
	assert.Contains(t, bad.err, "--profile")
}

// A Loop that took 10, with nodes of 3 and 4 in it, took 3 itself.
func TestSelfTimes(t *testing.T) {
	nodes := []runtime.NodeTime{{Op: "A", Time: 2}, {Op: "B", Depth: 1, Time: 3}, {Op: "C", Depth: 1, Time: 4}, {Op: "Loop", Time: 10}, {Op: "If", Time: 1}}
	assert.Equal(t, []time.Duration{2, 3, 4, 3, 1}, selfTimes(nodes))
}

func TestShapesOf(t *testing.T) {
	assert.Equal(t, [][]int{{1, 3}, {}, nil, nil}, shapesOf([]string{"float32 [1 3]", "int64 []", "-", "sequence [x]"}))
}

func TestPercentiles(t *testing.T) {
	var r benchResult
	r.fill([]int64{5, 1, 2, 4, 3, 6, 7, 8, 9, 10})
	assert.Equal(t, []int64{1, 5, 10, 10, 10, 5}, []int64{r.MinNS, r.MedianNS, r.P90NS, r.P99NS, r.MaxNS, r.MeanNS})
	r.fill([]int64{7})
	assert.Equal(t, []int64{7, 7, 7, 7, 7}, []int64{r.MinNS, r.MedianNS, r.P90NS, r.P99NS, r.MeanNS})
}

func TestFLOPs(t *testing.T) {
	for _, c := range []struct {
		op      string
		in, out [][]int
		want    int64
		known   bool
	}{
		{"Conv", [][]int{{1, 3, 8, 8}, {4, 3, 3, 3}}, [][]int{{1, 4, 6, 6}}, 2 * 4 * 36 * 27, true},
		{"QLinearConv", [][]int{{1, 3, 8, 8}, {}, {}, {4, 3, 3, 3}}, [][]int{{1, 4, 6, 6}}, 2 * 4 * 36 * 27, true},
		{"ConvTranspose", [][]int{{1, 3, 2, 2}, {3, 4, 3, 3}}, nil, 2 * 12 * 36, true},
		{"MatMul", [][]int{{2, 5, 7}, {7, 3}}, [][]int{{2, 5, 3}}, 2 * 30 * 7, true},
		{"com.microsoft.FusedMatMul", [][]int{{5, 7}, {7, 3}}, [][]int{{5, 3}}, 2 * 15 * 7, true},
		{"Gemm", [][]int{{7, 5}, {7, 3}}, [][]int{{5, 3}}, 2 * 15 * 7, true}, // transA
		{"Gemm", [][]int{{0, 5}, {5, 3}}, [][]int{{0, 3}}, 0, true},
		{"Attention", [][]int{{2, 5, 8}, {2, 6, 8}}, nil, 4 * 80 * 6, true},
		{"LSTM", [][]int{{3, 2, 4}, {1, 20, 4}, {1, 20, 5}}, nil, 2 * 6 * 180, true},
		{"Relu", nil, [][]int{{2, 3}}, 6, true},
		{"ReduceMean", [][]int{{2, 3}}, nil, 6, true},
		{"Reshape", nil, nil, 0, true},
		{"Conv", [][]int{nil, nil}, [][]int{nil}, 0, false},
		{"ConvTranspose", nil, nil, 0, false},
		{"MatMul", [][]int{nil}, [][]int{{1}}, 0, false},
		{"Gemm", nil, nil, 0, false},
		{"Attention", nil, nil, 0, false},
		{"GRU", nil, nil, 0, false},
		{"Add", nil, nil, 0, false},
		{"MaxPool", nil, nil, 0, false},
		{"Add", nil, [][]int{{1 << 30, 1 << 30, 1 << 30}}, 1<<63 - 1, true},
	} {
		got, known := flopsOf(c.op, c.in, c.out)
		assert.Equal(t, c.want, got, c.op)
		assert.Equal(t, c.known, known, c.op)
	}
	assert.Equal(t, int64(1<<63-1), add(1<<62, 1<<62))
}

func TestBenchPackFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.packed")
	args := []string{"bench", modelOf("mlp_mnist"), "--data", dataOf("mlp_mnist"), "--warmup", "0", "--runs", "2", "--json", "--pack-file", file}
	for range 2 {
		r := ok(t, args...)
		assert.Contains(t, r.out, `"ok":true`)
		assert.Empty(t, r.err)
	}
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o644))
	assert.Contains(t, ok(t, args...).err, "not a file of packed weights")
}
