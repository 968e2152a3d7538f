package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestInspect(t *testing.T) {
	r := ok(t, "inspect", modelOf("mlp_mnist"), "--dim", "N=1", "--ops", "--weights")
	for _, want := range []string{"opsets      ai.onnx", "inputs      x float32[1,1,28,28]", "outputs     y float32[1,10]", "parameters  536 k in 2.14 MB", "FLOPs       1.07 M\n", "memory", "Gemm", "yes", "initializer", "float32[512,784]"} {
		assert.Contains(t, r.out, want)
	}
	assert.NotContains(t, r.out, "at least")
	r = ok(t, "inspect", modelOf("mlp_mnist"))
	assert.Contains(t, r.out, "not known   N: give sizes with --dim NAME=N")

	for _, m := range allModels {
		v := ok(t, "inspect", modelOf(m), "--json", "--weights").object(t)
		keys(t, v, "model", "ir_version", "opsets", "producer", "inputs", "outputs", "nodes", "operators", "unsupported", "parameters", "weight_bytes",
			"flops", "flops_known", "activation_bytes", "shapes_known", "peak_bytes")
		assert.Empty(t, v["unsupported"], m)
		assert.NotContains(t, v, "notes", m)
		assert.Positive(t, v["parameters"], m)
		info, err := os.Stat(modelOf(m))
		require.NoError(t, err)
		assert.InEpsilon(t, float64(info.Size()), v["weight_bytes"], 1.2, m) // trees: weights in attributes
		dot := ok(t, "inspect", modelOf(m), "--dot").out
		assert.True(t, strings.HasPrefix(dot, "digraph ") && strings.HasSuffix(dot, "}\n"), m)
		assert.Contains(t, dot, " -> o0 ", m)
		assert.Contains(t, ok(t, "inspect", modelOf(m), "--text").out, "graph \"", m)
	}
}

// unknown is a model with an operator that nobody knows, a function, a branch
// and metadata.
func unknown(t testing.TB) string {
	m := &onnx.Model{IRVersion: 10, Opsets: map[string]int{"": 18, "my.domain": 1, "fn": 1}, Metadata: []onnx.Prop{{Key: "author", Value: "me\x1b[31m"}}}
	m.Graph = onnx.NewGraph("ma\"in", m.Opsets)
	g := m.Graph
	b := ops.NewBuilder(g)
	typ := onnx.TensorType(tensor.Float32, onnx.Size(2))
	x := g.AddInput("x", typ)
	w := b.Const(f32([]int{2}, 1, 2))
	b.Insert(nil)
	n := g.NewNodeIn("my.domain", "Mystery", nil, []*onnx.Value{x, w}, 1)
	n.Out[0].Type = typ
	call := g.NewNodeIn("fn", "Twice", nil, []*onnx.Value{n.Out[0]}, 1)
	call.Out[0].Name = "y"
	call.Out[0].Type = typ
	g.Insert(nil, n, call)
	g.Outputs = []*onnx.Value{call.Out[0]}
	f := &onnx.Function{Domain: "fn", Name: "Twice", Opsets: map[string]int{"": 18}, Graph: onnx.NewGraph("", map[string]int{"": 18})}
	in := f.Graph.AddInput("a", onnx.Type{})
	sum := f.Graph.NewNode("Add", nil, []*onnx.Value{in, in}, 1)
	f.Graph.Insert(nil, sum)
	f.Graph.Outputs = []*onnx.Value{sum.Out[0]}
	m.Functions = []*onnx.Function{f}
	path := filepath.Join(t.TempDir(), "unknown.onnx")
	require.NoError(t, onnx.Save(m, path, onnx.SaveOptions{}))
	return path
}

func TestInspectUnknown(t *testing.T) {
	m := unknown(t)
	r := ok(t, "inspect", m, "--ops")
	for _, want := range []string{"this version cannot run  my.domain.Mystery", "functions   fn.Twice: 1 node, called 1 time", `metadata    author = "me\x1b[31m"`, "FLOPs       2\n"} {
		assert.Contains(t, r.out, want)
	}
	v := ok(t, "inspect", m, "--json").object(t)
	assert.Equal(t, []any{"my.domain.Mystery"}, v["unsupported"])
	assert.Contains(t, ok(t, "inspect", m, "--dot").out, `digraph "ma\"in"`)

	r = ok(t, "check", m)
	assert.Contains(t, r.out, "warning this version cannot run operator my.domain.Mystery of opset 1\n")
	assert.Contains(t, r.out, "no problems, 1 warning")
	r = gneiss(t, "run", m, "--random", "1")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "my.domain.Mystery")
}

func TestMissingExternalData(t *testing.T) {
	m, err := onnx.Open(modelOf("mlp_mnist"), onnx.DecodeOptions{})
	require.NoError(t, err)
	defer m.Close()
	path := filepath.Join(t.TempDir(), "model.onnx")
	require.NoError(t, onnx.Save(m, path, onnx.SaveOptions{External: 1024}))
	whole := ok(t, "inspect", path, "--json").object(t)
	require.NoError(t, os.Remove(path+".data"))

	r := ok(t, "inspect", path, "--weights", "--dim", "N=1")
	assert.Contains(t, r.out, "note: weights are not read: ")
	assert.Contains(t, r.out, "model.onnx.data")
	assert.Contains(t, r.out, "FLOPs       1.07 M\n")
	v := ok(t, "inspect", path, "--json").object(t)
	for _, k := range []string{"parameters", "weight_bytes", "nodes"} {
		assert.Equal(t, whole[k], v[k], k)
	}
	assert.Len(t, v["notes"], 1)
	r = gneiss(t, "check", path)
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.out, "model.onnx.data")
	r = gneiss(t, "run", path, "--random", "1")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "model.onnx.data")
}

// A graph with a branch: bodies' readings are dashed edges, their sizes count.
func TestInspectBranch(t *testing.T) {
	typ := onnx.TensorType(tensor.Float32, onnx.Size(4))
	m := saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		cond, x := g.AddInput("cond", onnx.TensorType(tensor.Bool)), g.AddInput("x", typ)
		body := func(op string) *onnx.Graph {
			h := g.NewBody(op)
			n := h.NewNode(op, nil, []*onnx.Value{x}, 1)
			n.Out[0].Type = typ
			h.Insert(nil, n)
			h.Outputs = []*onnx.Value{n.Out[0]}
			return h
		}
		y := b.Op("If", onnx.NewAttrs("then_branch", body("Exp"), "else_branch", body("Neg")), cond)
		y.Name, y.Type = "y", typ
		return []*onnx.Value{y}
	})
	assert.Contains(t, ok(t, "inspect", m, "--dot").out, "style=dashed")
	v := ok(t, "inspect", m, "--json").object(t)
	assert.Equal(t, 3.0, v["nodes"])
	assert.Equal(t, 48.0, v["activation_bytes"])
	assert.Equal(t, 33.0, v["peak_bytes"]) // x, cond and y
}

func TestCheck(t *testing.T) {
	for _, m := range allModels {
		assert.Contains(t, ok(t, "check", modelOf(m)).out, "no problems", m)
	}
	v := ok(t, "check", modelOf("mlp_mnist"), "--json").object(t)
	assert.Equal(t, true, v["ok"])
	assert.Empty(t, v["problems"])

	bad := saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		typ := onnx.TensorType(tensor.Float32, onnx.Size(2))
		x := g.AddInput("x", typ)
		y := b.Op("Relu", onnx.NewAttrs("nonsense", 1), x)
		z := b.Op("Softmax", onnx.NewAttrs("axis", "one"), y)
		z.Name, z.Type = "z", typ
		return []*onnx.Value{z}
	})
	r := gneiss(t, "check", bad)
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.out, "nonsense")
	assert.Contains(t, r.out, "axis")
	assert.Contains(t, r.err, "2 problems\n")
	r = gneiss(t, "check", bad, "--json")
	v = r.object(t)
	assert.Equal(t, false, v["ok"])
	assert.Len(t, v["problems"], 2)
	keys(t, v["problems"].([]any)[0].(map[string]any), "where", "text")

	r = gneiss(t, "check", writeFile(t, "x.onnx", []byte("hello")))
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.out, "problem file: ")

	wrong := saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		y := b.Op("Relu", nil, g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(2))))
		y.Name, y.Type = "y", onnx.TensorType(tensor.Float32, onnx.Size(3))
		return []*onnx.Value{y}
	})
	r = gneiss(t, "check", wrong)
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.out, "problem types: ")

	between := func(d tensor.DType, n int) string {
		return saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
			y := b.Op("Cast", onnx.NewAttrs("to", tensor.Int64), g.AddInput("x", onnx.TensorType(tensor.Float32, onnx.Size(2))))
			y.Name, y.Type = "y", onnx.TensorType(d, onnx.Size(n))
			g.Infos = append(g.Infos, y)
			z := b.Op("Cast", onnx.NewAttrs("to", tensor.Float32), y)
			z.Name, z.Type = "z", onnx.TensorType(tensor.Float32)
			z.Type.Ranked = false
			return []*onnx.Value{z}
		})
	}
	r = gneiss(t, "check", between(tensor.Int32, 2))
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.out, `output "y" is int64[2], declared int32[2]`)
	r = ok(t, "check", between(tensor.Int64, 3))
	assert.Contains(t, r.out, `output "y" is int64[2], declared int64[3]`)
	assert.Contains(t, r.out, "1 warning")
}

func TestOptimize(t *testing.T) {
	for _, m := range allModels {
		out := filepath.Join(t.TempDir(), "o.onnx")
		ok(t, "optimize", modelOf(m), "-o", out, "--verify", "2")
		ok(t, "run", out, "--data", dataOf(m))
		ok(t, "check", out)
	}
	out := filepath.Join(t.TempDir(), "o.onnx")
	r := ok(t, "optimize", modelOf("transformer_tiny"), "-o", out, "--trace", "--data", dataOf("transformer_tiny"))
	assert.Contains(t, r.err, "1: ")
	assert.Regexp(t, `o.onnx: \d+ nodes, were 136: .*; \S+ kB, was 575 kB\n`, r.out)
	r = ok(t, "optimize", modelOf("transformer_tiny"), "-o", out, "--level", "none", "--verify", "0")
	assert.Contains(t, r.out, "136 nodes")
	r = ok(t, "optimize", modelOf("transformer_tiny"), "-o", out, "--disable", "cse", "--dim", "batch=1")
	assert.NotContains(t, r.out, "cse")
	list := ok(t, "optimize", "--list").out
	assert.Contains(t, list, "\nfold ")
	assert.Contains(t, ok(t, "optimize", modelOf("transformer_tiny"), "--bisect").out, "no difference after all")
	r = gneiss(t, "optimize", modelOf("mlp_mnist"), "-o", filepath.Join(out, "x"))
	assert.Equal(t, exitFailed, r.code)
	r = gneiss(t, "optimize", modelOf("mlp_mnist"), "-o", out, "--data", "nowhere")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "--data")
}

// A model can be rewritten over itself, with weights in a second file too.
func TestOptimizeInPlace(t *testing.T) {
	b, err := os.ReadFile(modelOf("rnn_textclf"))
	require.NoError(t, err)
	path := writeFile(t, "m.onnx", b)
	ok(t, "optimize", path, "-o", path)
	ok(t, "run", path, "--data", dataOf("rnn_textclf"))
	ok(t, "convert", path, "-o", path, "--opset", "19")
	ok(t, "run", path, "--data", dataOf("rnn_textclf"))
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary files stay")
}

// Folding a factor into a product rounds differently: where outputs have to be
// equal to the last bit, --verify refuses and --bisect blames the rule.
func TestOptimizeDiffers(t *testing.T) {
	old := verifyRule
	defer func() { verifyRule = old }()
	verifyRule = tensor.Rule{RTol: 1e-12}
	typ := onnx.TensorType(tensor.Float32, onnx.Size(1), onnx.Size(64))
	m := saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		w, c := tensor.New(tensor.Float32, 64, 64), tensor.New(tensor.Float32, 64)
		for i, d := 0, tensor.Data[float32](w); i < len(d); i++ {
			d[i] = 1 / float32(i+3)
		}
		for i, d := 0, tensor.Data[float32](c); i < len(d); i++ {
			d[i] = 0.1 + 1/float32(i+7)
		}
		x := b.Op("Identity", nil, b.Op("Identity", nil, g.AddInput("x", typ)))
		y := b.Op("Mul", nil, b.Op("MatMul", nil, x, b.Const(w)), b.Const(c))
		y.Name, y.Type = "y", typ
		return []*onnx.Value{y}
	})
	out := filepath.Join(t.TempDir(), "o.onnx")
	r := gneiss(t, "optimize", m, "-o", out)
	assert.Equal(t, exitDiffers, r.code)
	assert.Contains(t, r.err, "gives other outputs")
	assert.Contains(t, r.err, "--bisect")
	assert.NoFileExists(t, out)
	r = gneiss(t, "optimize", m, "--bisect")
	assert.Equal(t, exitDiffers, r.code)
	assert.Regexp(t, `^rewrite \d+: fold-scale: `, r.out)
	assert.Contains(t, r.err, "--disable fold-scale leaves it out")
	ok(t, "optimize", m, "-o", out, "--disable", "fold-scale")

	random := saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		y := b.Op("Add", nil, g.AddInput("x", typ), b.Op("RandomNormal", onnx.NewAttrs("shape", []int64{1, 64})))
		y.Name, y.Type = "y", typ
		return []*onnx.Value{y}
	})
	r = gneiss(t, "optimize", random, "--bisect")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "no rewrite can be blamed")
}

func TestConvertOpset(t *testing.T) {
	out := filepath.Join(t.TempDir(), "o.onnx")
	for _, m := range []string{"mlp_mnist", "transformer_tiny"} {
		for _, v := range []string{"19", "22"} {
			r := ok(t, "convert", modelOf(m), "-o", out, "--opset", v)
			assert.Contains(t, r.out, "opset "+v+", was ")
			ok(t, "run", out, "--data", dataOf(m))
		}
	}
	ok(t, "convert", modelOf("mlp_mnist"), "-o", out, "--opset", "20", "--domain", "ai.onnx")
}

func TestConvertStorage(t *testing.T) {
	dir := t.TempDir()
	half, full := filepath.Join(dir, "half.onnx"), filepath.Join(dir, "full.onnx")
	for _, to := range []string{"float16", "bfloat16"} {
		r := ok(t, "convert", modelOf("mlp_mnist"), "-o", half, "--to", to)
		assert.Contains(t, r.out, "initializers stored as "+to+"; 1.07 MB, was 2.14 MB")
		ok(t, "check", half)
		if to == "float16" {
			assert.Contains(t, ok(t, "run", half, "--data", dataOf("mlp_mnist")).out, "match")
		}
		ok(t, "convert", half, "-o", full, "--to", "float32", "--opset", "21")
		ok(t, "check", full)
		a := ok(t, "run", half, "--random", "3", "--json")
		assert.Equal(t, a.out, ok(t, "run", full, "--random", "3", "--json").out)
		v := ok(t, "inspect", full, "--json").object(t)
		assert.NotContains(t, v["operators"], "Cast")
	}

	big := saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		typ := onnx.TensorType(tensor.Float32, onnx.Size(300))
		w, v := tensor.New(tensor.Float32, 300), tensor.New(tensor.Float32, 300)
		tensor.Data[float32](w)[7] = 1e6
		tensor.Data[float32](v)[7] = 0.5
		y := b.Op("Add", nil, b.Op("Add", nil, g.AddInput("x", typ), b.Const(w)), b.Const(v))
		y.Name, y.Type = "y", typ
		return []*onnx.Value{y}
	})
	r := ok(t, "convert", big, "-o", half, "--to", "float16")
	assert.Contains(t, r.out, "1 initializer stored as float16; 1 initializer out of its range stay")
	r = ok(t, "convert", big, "-o", half, "--to", "bfloat16")
	assert.Contains(t, r.out, "2 initializers stored as bfloat16")
	r = gneiss(t, "convert", modelOf("sk_rf_zipmap"), "-o", half, "--to", "bfloat16")
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "--opset 13")
}

func TestConformance(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.json")
	r := ok(t, "conformance", models, "--isa", "generic", "--level", "none", "--json", file)
	assert.Equal(t, "6 cases: 6 pass, 0 fail, 0 unsupported, 0 error\n", r.out)
	read := func() map[string]any {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		var v map[string]any
		require.NoError(t, json.Unmarshal(b, &v))
		return v
	}
	v := read()
	keys(t, v, "isa", "level", "cases", "pass", "fail", "unsupported", "error", "total")
	assert.Equal(t, "generic", v["isa"])
	assert.Equal(t, "none", v["level"])
	keys(t, v["cases"].([]any)[0].(map[string]any), "name", "kind", "ops", "status", "reason", "ns")
	assert.Contains(t, ok(t, "conformance", models, "--filter", "^mlp", "--json", file).out, "1 case: 1 pass")
	assert.Equal(t, "machine", read()["level"])

	// One that differs, one with an unknown operator, one without inputs.
	dir := t.TempDir()
	put := func(name string, data []byte) {
		p := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, data, 0o644))
	}
	get := func(p string) []byte {
		b, err := os.ReadFile(p)
		require.NoError(t, err)
		return b
	}
	put("kind/differs/model.onnx", get(modelOf("mlp_mnist")))
	put("kind/differs/test_data_set_0/input_0.pb", get(filepath.Join(dataOf("mlp_mnist"), "input_0.pb")))
	put("kind/differs/test_data_set_0/output_0.pb", onnx.EncodeTensor("y", tensor.New(tensor.Float32, 1, 10)))
	put("kind/mystery/model.onnx", get(unknown(t)))
	put("kind/mystery/test_data_set_0/input_0.pb", onnx.EncodeTensor("x", f32([]int{2}, 1, 2)))
	put("kind/broken/model.onnx", []byte("hello"))
	put("kind/broken/test_data_set_0/input_0.pb", nil)
	r = gneiss(t, "conformance", dir, "-v")
	assert.Equal(t, exitDiffers, r.code)
	assert.Contains(t, r.out, "3 cases: 0 pass, 1 fail, 1 unsupported, 1 error")
	assert.Contains(t, r.out, "operators ")
	assert.Contains(t, r.err, "kind/differs: ")
	r = ok(t, "conformance", dir, "--filter", "mystery")
	assert.Contains(t, r.out, "my.domain.Mystery")
	r = gneiss(t, "conformance", models, "--filter", "mlp", "--json", filepath.Join(dir, "no", "where"))
	assert.Equal(t, exitFailed, r.code)
}
