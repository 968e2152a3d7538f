package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrune(t *testing.T) {
	out := filepath.Join(t.TempDir(), "pruned.onnx")
	m := modelOf("espcn_x3")
	r := ok(t, "prune", m, "-o", out, "--structured", "0.5", "--layers", "--bench", "1")
	for _, want := range []string{"file ", "parameters ", "not zero ", "FLOPs ", "latency ", "-7", "weight was", "DepthToSpace", "does not know the operator"} {
		assert.Contains(t, r.out, want)
	}
	ok(t, "check", out)
	ok(t, "run", out, "--random", "1")

	for _, c := range []struct {
		args    []string
		nonzero float64 // of the weights of layers
	}{
		{[]string{"--sparsity", "0.75"}, 0.25},
		{[]string{"--sparsity", "0.75", "--scope", "global"}, 0.25},
		{[]string{"--sparsity", "0.5", "--block", "2x2"}, 0.5},
		{[]string{"--pattern", "2:4"}, 0.5},
	} {
		r := ok(t, append([]string{"prune", modelOf("mlp_mnist"), "-o", out, "--json"}, c.args...)...)
		v := r.object(t)
		keys(t, v, "model", "output", "file_bytes_before", "file_bytes_after", "layers", "before", "after")
		all, left := 0.0, 0.0
		for _, l := range v["layers"].([]any) {
			l := l.(map[string]any)
			keys(t, l, "node", "op", "weight", "was", "is", "before", "after")
			all += l["after"].(map[string]any)["parameters"].(float64)
			left += l["after"].(map[string]any)["nonzeros"].(float64)
		}
		assert.InDelta(t, c.nonzero, left/all, 1e-3, "%v", c.args)
		ok(t, "run", out, "--random", "1")
	}

	v := ok(t, "prune", m, "-o", out, "--structured", "0.3", "--scope", "global", "--norm", "l1", "--multiple", "1", "--json").object(t)
	before, after := v["before"].(map[string]any), v["after"].(map[string]any)
	assert.LessOrEqual(t, after["flops"], 0.7*before["flops"].(float64))
	info, err := os.Stat(out)
	require.NoError(t, err)
	assert.EqualValues(t, info.Size(), v["file_bytes_after"])
	assert.NotEmpty(t, v["groups"])
}

// A model can be pruned in place, and a run that fails leaves the file alone.
func TestPruneInPlace(t *testing.T) {
	data, err := os.ReadFile(modelOf("mlp_mnist"))
	require.NoError(t, err)
	path := writeFile(t, "model.onnx", data)
	r := gneiss(t, "prune", path, "-o", path, "--structured", "0.5", "--exclude", "no such node")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, `no node "no such node"`)
	now, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, data, now)
	r = ok(t, "prune", path, "-o", path, "--structured", "0.5")
	assert.Contains(t, r.out, "-5") // of 784 inputs all stay
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(len(data))*6/10)
	ok(t, "run", path, "--random", "1")
}

func TestPruneUsage(t *testing.T) {
	m, out := modelOf("mlp_mnist"), filepath.Join(t.TempDir(), "o.onnx")
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "how? give --structured"},
		{[]string{"--structured", "1"}, "more than 0 and less than 1"},
		{[]string{"--structured", "0"}, "more than 0"},
		{[]string{"--sparsity", "NaN"}, "more than 0"},
		{[]string{"--sparsity", "half"}, "invalid argument"},
		{[]string{"--structured", "0.5", "--sparsity", "0.5"}, "one thing at a time"},
		{[]string{"--pattern", "2:4", "--sparsity", "0.5"}, "one thing at a time"},
		{[]string{"--pattern", "4:4"}, "less than M"},
		{[]string{"--pattern", "2/4"}, `two numbers with ":"`},
		{[]string{"--pattern", "2:4", "--scope", "global"}, "no --scope"},
		{[]string{"--block", "4x4"}, "--sparsity as well"},
		{[]string{"--block", "0x4", "--sparsity", "0.5"}, "at least 1x1"},
		{[]string{"--block", "4", "--sparsity", "0.5"}, `two numbers with "x"`},
		{[]string{"--sparsity", "0.5", "--scope", "all"}, "per-layer or global"},
		{[]string{"--sparsity", "0.5", "--norm", "l1"}, "go with --structured"},
		{[]string{"--structured", "0.5", "--norm", "l3"}, "l1 or l2"},
		{[]string{"--structured", "0.5", "--multiple", "0"}, "1 or more"},
		{[]string{"--structured", "0.5", "--bench", "-1"}, "0 or more"},
	} {
		r := gneiss(t, append([]string{"prune", m, "-o", out}, c.args...)...)
		assert.Equal(t, exitUsage, r.code, "%v", c.args)
		assert.Contains(t, r.err, c.want, "%v", c.args)
		assert.NoFileExists(t, out)
	}
	assert.Equal(t, exitUsage, gneiss(t, "prune", m, "--structured", "0.5").code)
	assert.Equal(t, exitUsage, gneiss(t, "prune", "-o", out, "--structured", "0.5").code)
	assert.Equal(t, exitFailed, gneiss(t, "prune", out+".none", "-o", out, "--structured", "0.5").code)
}
