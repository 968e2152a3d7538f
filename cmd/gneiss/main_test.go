package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

const models = "../../testdata/models"

func modelOf(name string) string { return filepath.Join(models, name, "model.onnx") }
func dataOf(name string) string  { return filepath.Join(models, name, "test_data_set_0") }

// TestMain is also the program, for commands that start it anew: their first
// argument is a command, where tests have flags only.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && !strings.HasPrefix(os.Args[1], "-") {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// result is what one call of the program gave.
type result struct {
	code     int
	out, err string
}

// gneiss runs the program.
func gneiss(t testing.TB, args ...string) result {
	t.Helper()
	var out, err bytes.Buffer
	code := run(context.Background(), args, strings.NewReader(""), &out, &err)
	r := result{code, out.String(), err.String()}
	require.NotContains(t, r.err, "internal error")
	if code != exitOK && code != exitDiffers {
		last := strings.TrimRight(r.err, "\n")
		last = last[strings.LastIndexByte(last, '\n')+1:]
		require.Regexp(t, `^gneiss: .+`, last)
		require.True(t, strings.HasSuffix(r.err, "\n"))
	}
	return r
}

// ok runs the program and wants exit code 0.
func ok(t testing.TB, args ...string) result {
	t.Helper()
	r := gneiss(t, args...)
	require.Equal(t, exitOK, r.code, "%v\n%s%s", args, r.out, r.err)
	return r
}

// object reads standard output as exactly one line with one JSON object.
func (r result) object(t testing.TB) map[string]any {
	t.Helper()
	require.Equal(t, 1, strings.Count(r.out, "\n"), r.out)
	var v map[string]any
	require.NoError(t, json.Unmarshal([]byte(r.out), &v), r.out)
	return v
}

// keys wants all of them in the object.
func keys(t testing.TB, v map[string]any, names ...string) {
	t.Helper()
	for _, n := range names {
		assert.Contains(t, v, n)
	}
}

// saveModel writes a model of opset 18 whose graph is what build makes of it,
// and returns the file's name.
func saveModel(t testing.TB, build func(g *onnx.Graph, b *ops.Builder) []*onnx.Value) string {
	t.Helper()
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 18}}
	m.Graph = onnx.NewGraph("main", m.Opsets)
	b := ops.NewBuilder(m.Graph)
	outs := build(m.Graph, b)
	require.NoError(t, b.Err())
	b.Insert(nil)
	m.Graph.Outputs = outs
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, onnx.Save(m, path, onnx.SaveOptions{}))
	return path
}

// identity is a model y = Identity(x) for x of that type.
func identity(t testing.TB, typ onnx.Type) string {
	return saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		y := b.Op("Identity", nil, g.AddInput("x", typ))
		y.Name = "y"
		y.Type = typ
		return []*onnx.Value{y}
	})
}

func writeFile(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, data, 0o644))
	return path
}

func TestUsage(t *testing.T) {
	m := modelOf("mlp_mnist")
	for _, c := range []struct {
		args string
		code int
		want string // on standard error
	}{
		{"foo", exitUsage, `there is no command "foo"`},
		{"inspct", exitUsage, "perhaps inspect"},
		{"--foo", exitUsage, "unknown flag: --foo"},
		{"run", exitUsage, "an argument is missing; usage: gneiss run MODEL"},
		{"run a b", exitUsage, `1 argument more than it takes: "b"`},
		{"run --foo x", exitUsage, "unknown flag: --foo; gneiss run --help says more"},
		{"run " + m + " --random x", exitUsage, "invalid argument"},
		{"run " + m + " --dim x", exitUsage, `--dim "x": want NAME=N`},
		{"run " + m + " --dim x=-1", exitUsage, "want NAME=N"},
		{"run " + m + " --level best", exitUsage, "want none, portable or machine"},
		{"run " + m + " --threads -1", exitUsage, "want 0 or more"},
		{"run " + m + " --disable foo", exitUsage, "gneiss optimize --list"},
		{"run " + m + " --input x", exitUsage, "want NAME=FILE"},
		{"bench " + m + " --runs 0", exitUsage, "--runs 0"},
		{"bench", exitUsage, "usage: gneiss bench MODEL"},
		{"check", exitUsage, "missing"},
		{"inspect", exitUsage, "missing"},
		{"inspect --json --dot " + m, exitUsage, "give one of them"},
		{"optimize", exitUsage, "missing"},
		{"optimize " + m, exitUsage, "give -o OUT"},
		{"optimize " + m + " -o x --level machine", exitUsage, "want portable or none"},
		{"optimize " + m + " -o x --disable foo", exitUsage, "no such pass"},
		{"optimize " + m + " -o x --verify -1", exitUsage, "want 0 or more"},
		{"optimize --list x", exitUsage, "1 argument more"},
		{"convert " + m + " --opset 20", exitUsage, "give -o OUT"},
		{"convert " + m + " -o x", exitUsage, "to what"},
		{"convert " + m + " -o x --opset 0", exitUsage, "want 1 or more"},
		{"convert " + m + " -o x --to int8", exitUsage, "want float16, bfloat16 or float32"},
		{"conformance", exitUsage, "missing"},
		{"conformance x --filter (", exitUsage, "--filter"},
		{"conformance x --isa foo", exitUsage, "--isa"},
		{"conformance x --level foo", exitUsage, "--level"},
		{"conformance x --workers 0", exitUsage, "--workers"},
		{"completion", exitUsage, "for which shell"},
		{"completion foo", exitUsage, `none for "foo"`},
		{"help foo", exitUsage, "no command"},
		{"version x", exitUsage, "more than it takes"},
		{"run nowhere.onnx", exitFailed, "nowhere.onnx: no such file"},
		{"bench nowhere.onnx", exitFailed, "nowhere.onnx: no such file"},
		{"check nowhere.onnx", exitFailed, "nowhere.onnx: no such file"},
		{"inspect nowhere.onnx", exitFailed, "nowhere.onnx: no such file"},
		{"optimize nowhere.onnx -o x", exitFailed, "nowhere.onnx: no such file"},
		{"convert nowhere.onnx -o x --opset 20", exitFailed, "nowhere.onnx: no such file"},
		{"conformance nowhere", exitFailed, "nowhere: no such file"},
		{"run " + m, exitFailed, `input "x" (float32[N,1,28,28]) is missing: give it with --input x=FILE`},
		{"run " + m + " --data nowhere", exitFailed, "nowhere: no such file"},
		{"run " + m + " --data " + m, exitFailed, "no folder"},
		{"run " + m + " --data " + models, exitFailed, "no input_*.pb"},
		{"run " + m + " --input foo=x.npy", exitFailed, "the model has no input \"foo\"; its inputs are x"},
		{"run " + m + " --input x=x.txt", exitFailed, "no such file"},
		{"bench " + m + " --compare nowhere", exitFailed, "--compare"},
		{"bench " + m + " --compare " + m, exitFailed, "want the output of gneiss bench --json"},
		{"convert " + m + " -o x --opset 99", exitFailed, "no opset 99"},
		{"convert " + m + " -o x --opset 3 --domain foo", exitFailed, `does not use domain "foo"`},
		{"convert " + m + " -o nowhere/x --opset 20", exitFailed, "no such file"},
		{"conformance " + models + " --filter nothing", exitFailed, "none of 6 cases matches"},
		{"conformance " + m, exitFailed, "archive"},
	} {
		r := gneiss(t, strings.Fields(c.args)...)
		assert.Equal(t, c.code, r.code, c.args)
		assert.Contains(t, r.err, c.want, c.args)
		assert.Equal(t, 1, strings.Count(r.err, "\n"), "%s: %s", c.args, r.err)
		assert.Empty(t, r.out, c.args)
	}
}

func TestHelp(t *testing.T) {
	all := ok(t).out
	for _, c := range []string{"run", "inspect", "check", "bench", "optimize", "convert", "conformance", "version", "knobs", "completion"} {
		assert.Contains(t, all, "\n  "+c+" ")
		h := ok(t, c, "--help").out
		assert.Contains(t, h, "Usage:")
		assert.Equal(t, h, ok(t, "help", c).out)
	}
}

func TestVersionAndKnobs(t *testing.T) {
	v := ok(t, "version").out
	assert.Regexp(t, `^gneiss .*, go1\..* ISA \w+, opsets up to \d+\n$`, v)
	assert.Equal(t, v, ok(t, "--version").out)
	keys(t, ok(t, "version", "--json").object(t), "version", "go", "os", "arch", "isa", "opset")
	assert.Contains(t, ok(t, "knobs").out, "GNEISS_ISA")
	keys(t, ok(t, "knobs", "--json").object(t), "knobs")
	t.Setenv("GNEISS_ISA", "foo")
	r := gneiss(t, "version")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "GNEISS_ISA")
}

func TestCompletion(t *testing.T) {
	for shell, want := range map[string]string{"bash": "__start_gneiss", "zsh": "#compdef gneiss", "fish": "complete -c gneiss", "powershell": "Register-ArgumentCompleter"} {
		assert.Contains(t, ok(t, "completion", shell).out, want)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, args := range [][]string{
		{"run", modelOf("mlp_mnist"), "--random", "1"},
		{"bench", modelOf("mlp_mnist"), "--runs", "1000000"},
		{"optimize", modelOf("mlp_mnist"), "-o", filepath.Join(t.TempDir(), "x.onnx")},
		{"optimize", modelOf("mlp_mnist"), "--bisect"},
		{"conformance", models},
	} {
		var out, stderr bytes.Buffer
		code := run(ctx, args, nil, &out, &stderr)
		assert.Equal(t, exitFailed, code, args)
		assert.Contains(t, stderr.String(), "interrupted", args)
		assert.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr.String())
	}
}

// fullDisk is standard output that takes nothing.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestLostOutput(t *testing.T) {
	var stderr bytes.Buffer
	assert.Equal(t, exitFailed, run(context.Background(), []string{"version"}, nil, fullDisk{}, &stderr))
	assert.Equal(t, "gneiss: standard output: no space left on device\n", stderr.String())
}

func TestPanicIsNoUsageError(t *testing.T) {
	var stderr bytes.Buffer
	err := guarded(&stderr, func() error { panic("boom") })
	assert.ErrorContains(t, err, "internal error: boom")
	assert.Contains(t, stderr.String(), "main_test.go")
}

// tty is a terminal that remembers.
type tty struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (*tty) IsTerminal() bool { return true }

func (w *tty) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func TestTerminal(t *testing.T) {
	t.Setenv("NO_COLOR", "")
	t.Setenv("CI", "")
	var out, stderr tty
	code := run(context.Background(), []string{"conformance", models}, nil, &out, &stderr)
	assert.Equal(t, exitOK, code)
	assert.Contains(t, stderr.b.String(), "cases ")
	assert.Contains(t, stderr.b.String(), "pass, 0 fail or error")
	assert.Contains(t, out.b.String(), "\x1b[32m")

	stderr, out = tty{}, tty{}
	run(context.Background(), []string{"optimize", modelOf("mlp_mnist"), "-o", filepath.Join(t.TempDir(), "x"), "--verify", "3"}, nil, &out, &stderr)
	assert.Contains(t, stderr.b.String(), "verify ")

	t.Setenv("NO_COLOR", "1")
	t.Setenv("CI", "1")
	out, stderr = tty{}, tty{}
	assert.Equal(t, exitOK, run(context.Background(), []string{"conformance", models}, nil, &out, &stderr))
	assert.Empty(t, stderr.b.String())
	assert.NotContains(t, out.b.String(), "\x1b")
	assert.False(t, isTerminal(os.Stdin) && os.Getenv("TERM") == "dumb")
	assert.False(t, isTerminal(&bytes.Buffer{}))
}

func f32(shape []int, v ...float32) *tensor.Tensor { return tensor.Of(v, shape...) }
