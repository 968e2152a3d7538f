package conformance_test

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"github.com/gneiss-run/gneiss/conformance"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/runtime"
	"github.com/gneiss-run/gneiss/tensor"
)

// encode returns a model of one node op(x, w) = y with x float32[2]; w has the
// default [1 1].
func encode(t *testing.T, op string, as onnx.Attrs) []byte {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 21}}
	g := onnx.NewGraph("g", m.Opsets)
	m.Graph = g
	ty := onnx.TensorType(tensor.Float32, onnx.Size(2))
	in := []*onnx.Value{g.AddInput("x", ty)}
	if op == "Add" {
		in = append(in, g.AddInput("w", ty))
		in[1].Const = tensor.Of([]float32{1, 1})
	}
	n := g.NewNodeIn("", op, as, in, 1)
	n.Out[0].Name, n.Out[0].Type = "y", ty
	g.Insert(nil, n)
	g.Outputs = n.Out
	b, err := onnx.Encode(m)
	require.NoError(t, err)
	return b
}

func data(name string, v ...float32) *fstest.MapFile {
	return &fstest.MapFile{Data: onnx.EncodeTensor(name, tensor.Of(v))}
}

// suite has one case for each way that a case can end.
func suite(t *testing.T) fstest.MapFS {
	add := &fstest.MapFile{Data: encode(t, "Add", nil)}
	f := fstest.MapFS{}
	put := func(name string, model *fstest.MapFile, files map[string]*fstest.MapFile) {
		f["node/"+name+"/model.onnx"] = model
		for k, v := range files {
			f["node/"+name+"/"+k] = v
		}
	}
	files := func(kv ...any) map[string]*fstest.MapFile {
		m := map[string]*fstest.MapFile{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i].(string)] = kv[i+1].(*fstest.MapFile)
		}
		return m
	}
	in, out := "test_data_set_0/input_0.pb", "test_data_set_0/output_0.pb"
	text := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	put("pass", add, files(in, data("x", 1, 2), out, data("y", 2, 3), "test_data_set_0/README", text("not a value")))
	put("pass_by_position", add, files(in, data("", 1, 2), out, data("other", 2, 3), "test_data_set_1/input_0.pb", data("", 0, 0), "test_data_set_1/output_0.pb", data("", 1, 1)))
	put("pass_default_given", add, files(in, data("w", 5, 5), "test_data_set_0/input_1.pb", data("x", 1, 2), out, data("y", 6, 7)))
	put("pass_by_rule", add, files(in, data("x", 1, 2), out, data("y", 2.5, 3), "data.json", text(`{"atol": 1}`)))
	put("fail", add, files(in, data("x", 1, 2), out, data("y", 2, 4)))
	put("unsupported", &fstest.MapFile{Data: encode(t, "NoSuchOperator", nil)}, files(in, data("x", 1, 2)))
	put("error_model", text("no model"), nil)
	put("error_no_set", add, nil)
	put("error_rule", add, files("data.json", text("{")))
	put("error_count", add, files("test_data_set_0/input_7.pb", data("", 1, 2)))
	put("error_data", add, files(in, text("\xff\xff")))
	put("error_number", add, files("test_data_set_0/input_99999999999999999999.pb", data("", 1)))
	put("error_missing_input", add, files(out, data("y", 1, 2)))
	bernoulli := &fstest.MapFile{Data: encode(t, "Bernoulli", nil)}
	put("test_bernoulli", bernoulli, files(in, data("x", 0.5, 0.5), out, data("y", 1, 0)))
	put("test_bernoulli_fail", bernoulli, files(in, data("x", 0.5, 0.5), out, data("y", 1)))
	put("test_bernoulli_value_fail", add, files(in, data("x", 0.5, 0.5), out, data("y", 1, 1)))
	return f
}

// write puts a tree into a folder.
func write(t *testing.T, f fstest.MapFS) string {
	dir := t.TempDir()
	require.NoError(t, os.CopyFS(dir, f))
	return dir
}

// status returns what must come of a case, by its name.
func status(name string) conformance.Status {
	switch {
	case strings.Contains(name, "fail"):
		return conformance.Fail
	case strings.HasPrefix(name, "unsupported"):
		return conformance.Unsupported
	case strings.HasPrefix(name, "error"):
		return conformance.Error
	}
	return conformance.Pass
}

func TestRunCases(t *testing.T) {
	cases, err := conformance.Suite(write(t, suite(t)))
	require.NoError(t, err)
	require.Len(t, cases, 16)
	var seen []string
	rep, err := conformance.RunAll(context.Background(), cases, 2, conformance.Options{Runtime: runtime.Options{Threads: 1}}, func(r conformance.Result) { seen = append(seen, r.Name) })
	require.NoError(t, err)
	require.Len(t, seen, len(cases))
	require.Equal(t, []int{16, 5, 3, 1, 7}, []int{rep.Total, rep.Pass, rep.Fail, rep.Unsupported, rep.Error})
	for i, r := range rep.Cases {
		assert.Equal(t, cases[i].Name, r.Name)
		assert.Equal(t, "node", r.Kind)
		assert.Equal(t, status(r.Name), r.Status, "%s: %s", r.Name, r.Reason)
		assert.Equal(t, r.Status != conformance.Pass, r.Reason != "", r.Name)
		assert.Positive(t, r.NS)
		if r.Name == "pass" {
			assert.Equal(t, []string{"Add"}, r.Ops)
		}
		if r.Name == "fail" {
			assert.Contains(t, r.Reason, `test_data_set_0: output "y"`)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = conformance.RunAll(ctx, cases, 0, conformance.Options{}, nil)
	require.ErrorIs(t, err, context.Canceled)
}

// A kernel that panics and one that does not end are errors of their cases.
func TestRunBadKernels(t *testing.T) {
	bad := func(name string, k ops.Kernel) *ops.Op {
		return &ops.Op{Name: name, Versions: []ops.Version{{Since: 1, In: ops.N(1), Out: ops.N(1),
			Infer: func(c *ops.InferContext) error { c.Out[0] = c.In(0); return nil },
			Build: func(*ops.BuildContext) (ops.Kernel, error) { return k, nil }}}}
	}
	set := []*ops.Op{
		bad("Panics", func(*ops.Call) error { panic("oh") }),
		bad("Waits", func(c *ops.Call) error { <-c.Ctx().Done(); return c.Ctx().Err() }),
	}
	for op, want := range map[string]string{"Panics": "oh", "Waits": "deadline"} {
		f := fstest.MapFS{"a/b/model.onnx": {Data: encode(t, op, nil)}, "a/b/test_data_set_0/input_0.pb": data("x", 1, 2)}
		c := conformance.Case{Name: "b", Kind: "a", FS: f, Dir: "a/b"}
		r := c.Run(context.Background(), conformance.Options{Runtime: runtime.Options{Operators: set}, Timeout: 1e8})
		assert.Equal(t, conformance.Error, r.Status)
		assert.Contains(t, r.Reason, want)
	}
}

// archive returns the tree as a tar file.
func archive(t *testing.T, f fstest.MapFS) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "node/", Typeflag: tar.TypeDir}))
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "../outside", Typeflag: tar.TypeReg, Size: 1}))
	_, err := w.Write([]byte("x"))
	require.NoError(t, err)
	for name, file := range f {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "./" + name, Typeflag: tar.TypeReg, Size: int64(len(file.Data))}))
		_, err := w.Write(file.Data)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestArchives(t *testing.T) {
	dir := t.TempDir()
	plain := archive(t, suite(t))
	var packed bytes.Buffer
	w, err := xz.NewWriter(&packed)
	require.NoError(t, err)
	_, err = w.Write(plain)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	for name, content := range map[string][]byte{"a.tar": plain, "a.tar.xz": packed.Bytes()} {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, content, 0o600))
		cases, err := conformance.Suite(p)
		require.NoError(t, err)
		require.Len(t, cases, 16)
		require.True(t, slices.IsSortedFunc(cases, func(a, b conformance.Case) int { return strings.Compare(a.Name, b.Name) }))
		i := slices.IndexFunc(cases, func(c conformance.Case) bool { return c.Name == "pass" })
		r := cases[i].Run(context.Background(), conformance.Options{})
		require.Equal(t, conformance.Pass, r.Status, r.Reason)
	}
	for name, c := range map[string]struct {
		content []byte
		err     string
	}{
		"cut.tar":       {plain[:1700], "unexpected EOF"},
		"broken.tar.xz": {[]byte("no archive"), "xz"},
		"a.zip":         {plain, "not a folder"},
		"empty.tar":     {archive(t, nil), "no folder with a model.onnx"},
	} {
		p := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(p, c.content, 0o600))
		_, err := conformance.Suite(p)
		require.ErrorContains(t, err, c.err, name)
	}
	_, err = conformance.Suite(filepath.Join(dir, "nothing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// What a report has beyond its expectations, and what these have beyond it.
func TestExpected(t *testing.T) {
	_, err := conformance.Expected()
	require.NoError(t, err)
	e, err := conformance.ParseExpectations(strings.NewReader("# reasons\n\nnode/(a|b) fail differs by design\nnode/gone error never\n"))
	require.NoError(t, err)
	rep := &conformance.Report{Cases: []conformance.Result{
		{Kind: "node", Name: "a", Status: conformance.Fail},
		{Kind: "node", Name: "b", Status: conformance.Error, Reason: "why"},
		{Kind: "node", Name: "c", Status: conformance.Pass},
	}}
	require.Equal(t, []string{"node/b: error, expected fail: why"}, e.Check(rep, false))
	require.Len(t, e.Check(rep, true), 2)
	for text, want := range map[string]string{"\nnode/a fail": "line 2: want a pattern", "node/a pass why": `status "pass"`, "[ fail why": "line 1"} {
		_, err := conformance.ParseExpectations(strings.NewReader(text))
		require.ErrorContains(t, err, want)
	}
}
