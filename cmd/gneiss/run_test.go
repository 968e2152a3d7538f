package main

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

var allModels = []string{"espcn_x3", "gru_forecast", "mlp_mnist", "rnn_textclf", "sk_rf_zipmap", "transformer_tiny"}

func TestRunData(t *testing.T) {
	for _, m := range allModels {
		r := ok(t, "run", modelOf(m), "--data", dataOf(m), "--threads", "2")
		assert.Contains(t, r.out, "outputs match the expected ones", m)
		v := ok(t, "run", modelOf(m), "--data", dataOf(m), "--json", "--level", "none").object(t)
		assert.Equal(t, true, v["compared"], m)
		assert.Equal(t, true, v["ok"], m)
		assert.NotEmpty(t, v["outputs"], m)
	}
	r := ok(t, "run", modelOf("mlp_mnist"), "--data", dataOf("mlp_mnist"))
	assert.Regexp(t, `(?s)^y: float32 \[1 10\]\n.*largest error: \S+ absolute, \S+ relative; relative L2 \S+\n`, r.out)
}

func TestRunDiffers(t *testing.T) {
	dir := t.TempDir()
	for _, f := range []string{"input_0.pb", "output_0.pb"} {
		b, err := os.ReadFile(filepath.Join(dataOf("mlp_mnist"), f))
		require.NoError(t, err)
		if f == "output_0.pb" {
			name, want, err := onnx.DecodeTensor(b)
			require.NoError(t, err)
			want = want.Clone()
			tensor.Data[float32](want)[3] += 1
			b = onnx.EncodeTensor(name, want)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, f), b, 0o644))
	}
	r := gneiss(t, "run", modelOf("mlp_mnist"), "--data", dir)
	assert.Equal(t, exitDiffers, r.code)
	assert.Contains(t, r.err, `output "y": relative L2 error`)
	r = gneiss(t, "bench", modelOf("mlp_mnist"), "--data", dir, "--runs", "1", "--json")
	assert.Equal(t, exitDiffers, r.code)
	v := r.object(t)
	assert.Equal(t, false, v["ok"])
	assert.InDelta(t, 1, v["max_abs_err"], 1e-4)
}

func TestRunRandom(t *testing.T) {
	m := modelOf("transformer_tiny")
	a := ok(t, "run", m, "--random", "7", "--dim", "sequence=5", "--dim", "batch=2", "--json")
	b := ok(t, "run", m, "--random", "7", "--dim", "sequence=5", "--dim", "batch=2", "--json")
	assert.Equal(t, a.out, b.out)
	out := a.object(t)["outputs"].([]any)[0].(map[string]any)
	assert.Equal(t, "logits", out["name"])
	assert.Equal(t, "float32", out["type"])
	assert.Equal(t, []any{2.0, 5.0}, out["shape"])
	assert.Len(t, out["data"], 2)
	r := ok(t, "run", m, "--random", "7", "--dim", "sequnce=5")
	assert.Contains(t, r.err, "warning: --dim sequnce: ")
	assert.Contains(t, r.err, "it has batch, sequence")
}

func TestRunError(t *testing.T) {
	m := modelOf("transformer_tiny")
	for _, c := range []string{"run", "bench"} {
		r := gneiss(t, c, m, "--random", "1", "--dim", "sequence=500")
		assert.Equal(t, exitFailed, r.code)
		assert.Contains(t, r.err, m+": node ")
		assert.Contains(t, r.err, "Gather(float32 [128 64], int64 [500]): index 128 is not in [-128, 127]; the inputs were random")
	}
	ids := writeFile(t, "ids.json", []byte("[[5000]]"))
	r := gneiss(t, "run", m, "--input", "ids="+ids, "--random", "1")
	assert.Equal(t, exitFailed, r.code)
	assert.NotContains(t, r.err, "were random")
}

// What is not given is made to fit what is.
func TestRunRandomFitsInputs(t *testing.T) {
	ids := writeFile(t, "ids.json", []byte("[[1, 2, 3], [4, 5, 6]]"))
	v := ok(t, "run", modelOf("transformer_tiny"), "--input", "ids="+ids, "--random", "1", "--json").object(t)
	assert.Equal(t, []any{2.0, 5.0}, v["outputs"].([]any)[0].(map[string]any)["shape"])
}

func TestRandomTypes(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Float32, tensor.Float64, tensor.Float16, tensor.BFloat16, tensor.Int64, tensor.Int32, tensor.Int16, tensor.Int8,
		tensor.Uint64, tensor.Uint32, tensor.Uint16, tensor.Uint8, tensor.Bool, tensor.String} {
		v := ok(t, "run", identity(t, onnx.TensorType(d, onnx.Name("N"), onnx.Size(3))), "--random", "1", "--dim", "N=2", "--json").object(t)
		assert.Equal(t, []any{2.0, 3.0}, v["outputs"].([]any)[0].(map[string]any)["shape"], d)
	}
	r := gneiss(t, "run", identity(t, onnx.TensorType(tensor.Complex64, onnx.Size(3))), "--random", "1")
	assert.Contains(t, r.err, "no random values of type complex64")
	seq := onnx.TensorType(tensor.Float32, onnx.Size(3))
	r = gneiss(t, "run", identity(t, onnx.Type{Kind: onnx.SequenceKind, Elem: &seq}), "--random", "1")
	assert.Contains(t, r.err, "random values are for tensors")
	r = gneiss(t, "run", identity(t, onnx.TensorType(tensor.Float32, onnx.Name("N"))), "--random", "1", "--dim", "N=2000000000")
	want := "at most"
	if strconv.IntSize == 32 { // it is beyond any tensor before it is beyond the bound
		want = "impossible size"
	}
	assert.Contains(t, r.err, want)
}

func TestInputJSON(t *testing.T) {
	for _, c := range []struct {
		d    tensor.DType
		dims int
		json string
		want string // the output's data, or the error
		code int
	}{
		{tensor.Float32, 2, "[[1, 2.5], [3, -4]]", "[[1,2.5],[3,-4]]", 0},
		{tensor.Float32, 1, "[0.1]", "[0.1]", 0},
		{tensor.Float32, 2, "[[], []]", "[]", 0},
		{tensor.Float64, 0, "1e-3", "0.001", 0},
		{tensor.Float16, 1, "[0.5]", "[0.5]", 0},
		{tensor.BFloat16, 1, "[0.5]", "[0.5]", 0},
		{tensor.Int64, 1, "[-9007199254740993]", "[-9007199254740993]", 0},
		{tensor.Uint64, 1, "[18446744073709551615]", "[18446744073709551615]", 0},
		{tensor.Int32, 0, "7", "7", 0},
		{tensor.Int16, 1, "[-32768]", "[-32768]", 0},
		{tensor.Uint16, 1, "[65535]", "[65535]", 0},
		{tensor.Uint32, 1, "[1]", "[1]", 0},
		{tensor.Int8, 1, "[-128]", "[-128]", 0},
		{tensor.Uint8, 1, "[255]", "[255]", 0},
		{tensor.Bool, 1, "[true, false]", "[true,false]", 0},
		{tensor.String, 2, `[["a", "β"]]`, `[["a","β"]]`, 0},
		{tensor.Float32, 1, "[]", "[]", 0},
		{tensor.Uint8, 1, "[256]", "element 0: 256 is no uint8", 1},
		{tensor.Int64, 1, "[1.5]", `"1.5" is no int64`, 1},
		{tensor.Int64, 1, `["a"]`, "a string, want int64", 1},
		{tensor.Float32, 1, "[null]", "null, want float32", 1},
		{tensor.Float32, 1, `[{"a": 1}]`, "an object, want float32", 1},
		{tensor.Float32, 1, "[true]", "a bool, want float32", 1},
		{tensor.String, 1, "[1]", "a number, want string", 1},
		{tensor.Float32, 2, "[[1], [2, 3]]", "ragged", 1},
		{tensor.Float32, 2, "[1]", "give it 2 dimensions", 1},
		{tensor.Float32, 1, "[1", "unexpected EOF", 1},
		{tensor.Float32, 1, "[1] [2]", "more than one JSON value", 1},
		{tensor.Float32, 1, "[1e999]", "out of range", 1},
	} {
		dims := make([]onnx.Dim, c.dims)
		r := gneiss(t, "run", identity(t, onnx.TensorType(c.d, dims...)), "--input", "x="+writeFile(t, "x.json", []byte(c.json)), "--json")
		assert.Equal(t, c.code, r.code, "%s: %s", c.json, r.err)
		if c.code == 0 {
			assert.Contains(t, r.out, `"data":`+c.want+`}`, c.json)
		} else {
			assert.Contains(t, r.err, c.want, c.json)
		}
	}
}

func TestInputNumPy(t *testing.T) {
	m := saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		two := onnx.TensorType(tensor.Float32, onnx.Size(2))
		y := b.Op("Sub", nil, g.AddInput("a", two), g.AddInput("b", two))
		y.Name, y.Type = "y", two
		return []*onnx.Value{y}
	})
	var npy, npz, one, doubles bytes.Buffer
	require.NoError(t, tensor.WriteNPY(&npy, f32([]int{2}, 5, 7)))
	require.NoError(t, tensor.WriteNPY(&doubles, tensor.Of([]float64{1, 2}, 2)))
	require.NoError(t, tensor.WriteNPZ(&npz, []tensor.Named{{Name: "a", Tensor: f32([]int{2}, 5, 7)}, {Name: "b", Tensor: f32([]int{2}, 1, 2)}, {Name: "c", Tensor: f32(nil, 1)}}))
	require.NoError(t, tensor.WriteNPZ(&one, []tensor.Named{{Name: "arr_0", Tensor: f32([]int{2}, 1, 2)}}))
	a, ab, arr := writeFile(t, "a.npy", npy.Bytes()), writeFile(t, "ab.npz", npz.Bytes()), writeFile(t, "arr.npz", one.Bytes())
	pb := writeFile(t, "b.pb", onnx.EncodeTensor("other", f32([]int{2}, 1, 2)))
	for _, in := range [][]string{{ab}, {"a=" + a, "b=" + pb}, {"a=" + ab, "b=" + ab}, {"a=" + a, "b=" + arr}} {
		args := []string{"run", m, "--json"}
		for _, f := range in {
			args = append(args, "--input", f)
		}
		assert.Contains(t, ok(t, args...).out, `"data":[4,5]}`, in)
	}
	for in, want := range map[string]string{
		"a=" + writeFile(t, "d.npy", doubles.Bytes()):    "it holds float64 [2], the input is float32[2]: convert it first",
		"a=" + writeFile(t, "bad.npy", npy.Bytes()[:20]): "bad.npy",
		arr:                               "its arrays are arr_0: none is called a, b",
		"a=" + writeFile(t, "x.bin", nil): "unknown kind of file",
		"a=" + t.TempDir() + ".npy":       "no such file",
		"a=" + writeFile(t, "bad.pb", []byte("\xff\xff")): "bad.pb",
		"b=" + writeFile(t, "bad.npz", []byte("PK")):      "bad.npz",
	} {
		r := gneiss(t, "run", m, "--input", in)
		assert.Equal(t, exitFailed, r.code, in)
		assert.Contains(t, r.err, want, in)
	}
	r := gneiss(t, "run", m, "--input", "zzz="+ab)
	assert.Contains(t, r.err, "its inputs are a, b")
}

func TestInputImage(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	img.Set(0, 0, color.NRGBA{255, 0, 0, 255})
	img.Set(1, 0, color.NRGBA{0, 0, 255, 255})
	var p, j bytes.Buffer
	require.NoError(t, png.Encode(&p, img))
	require.NoError(t, jpeg.Encode(&j, image.NewGray(image.Rect(0, 0, 4, 4)), nil))
	file, photo := writeFile(t, "x.png", p.Bytes()), writeFile(t, "x.jpg", j.Bytes())
	sizes := func(n ...int) []onnx.Dim {
		dims := make([]onnx.Dim, len(n))
		for i, k := range n {
			if k > 0 {
				dims[i] = onnx.Size(k)
			}
		}
		return dims
	}
	for _, c := range []struct {
		d    tensor.DType
		dims []onnx.Dim
		file string
		want string
	}{
		{tensor.Float32, sizes(1, 3, 1, 2), file, `"data":[[[[1,0]],[[0,0]],[[0,1]]]]}`},  // NCHW
		{tensor.Uint8, sizes(-1, -1, -1, 3), file, `"data":[[[[255,0,0],[0,0,255]]]]}`},   // NHWC
		{tensor.Float16, sizes(3, -1, -1), file, `"data":[[[1,0]],[[0,0]],[[0,1]]]}`},     // CHW
		{tensor.Uint8, sizes(1, 1, -1, -1), file, `"data":[[[[76,29]]]]}`},                // luma
		{tensor.Uint8, sizes(-1, -1, 4), file, `"data":[[[255,0,0,255],[0,0,255,255]]]}`}, // HWC with alpha
		{tensor.Uint8, sizes(1, 1, 2, 2), photo, `"shape":[1,1,2,2]`},                     // scaled
	} {
		r := ok(t, "run", identity(t, onnx.TensorType(c.d, c.dims...)), "--input", "x="+c.file, "--json")
		assert.Contains(t, r.out, c.want)
	}
	for _, c := range []struct {
		d    tensor.DType
		dims []onnx.Dim
		file string
		want string
	}{
		{tensor.Int64, sizes(1, 3, 1, 2), file, "an image cannot be int64"},
		{tensor.Float32, sizes(2, 2), file, "want [N,C,H,W] or [N,H,W,C]"},
		{tensor.Float32, sizes(1, 5, 5, 5), file, "no dimension is 1, 3 or 4 channels"},
		{tensor.Float32, sizes(2, 3, 4, 4), file, "an image is a batch of 1"},
		{tensor.Float32, sizes(1, 3, 1000000, 1000000), file, "pixels each way"},
		{tensor.Float32, sizes(1, 3, 2, 2), writeFile(t, "bad.png", p.Bytes()[:30]), "bad.png"},
	} {
		r := gneiss(t, "run", identity(t, onnx.TensorType(c.d, c.dims...)), "--input", "x="+c.file)
		assert.Equal(t, exitFailed, r.code)
		assert.Contains(t, r.err, c.want)
	}
}

func TestOutputDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "out")
	ok(t, "run", modelOf("sk_rf_zipmap"), "--data", dataOf("sk_rf_zipmap"), "--output-dir", dir)
	assert.FileExists(t, filepath.Join(dir, "output_label.npy"))
	assert.FileExists(t, filepath.Join(dir, "output_probability.pb"))
	f, err := os.Open(filepath.Join(dir, "output_label.npy"))
	require.NoError(t, err)
	defer f.Close()
	x, err := tensor.ReadNPY(f, 1<<20)
	require.NoError(t, err)
	assert.Equal(t, tensor.Int64, x.DType())
	r := gneiss(t, "run", modelOf("mlp_mnist"), "--random", "1", "--output-dir", filepath.Join(dir, "output_label.npy"))
	assert.Equal(t, exitFailed, r.code)
	assert.Contains(t, r.err, "--output-dir")

	m := saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		typ := onnx.TensorType(tensor.Float32, onnx.Size(1))
		x := g.AddInput("x", typ)
		y, z, w := b.Op("Neg", nil, x), b.Op("Abs", nil, x), b.Op("Exp", nil, x)
		y.Name, y.Type, z.Name, z.Type, w.Name, w.Type = "a/b", typ, "a:b", typ, "..", typ
		return []*onnx.Value{y, z, w}
	})
	dir = t.TempDir()
	ok(t, "run", m, "--random", "1", "--output-dir", dir)
	for _, f := range []string{"a_b.npy", "a_b_1.npy", "output_2.npy"} {
		assert.FileExists(t, filepath.Join(dir, f))
	}
}

func TestRunPrints(t *testing.T) {
	m := saveModel(t, func(g *onnx.Graph, b *ops.Builder) []*onnx.Value {
		typ := onnx.TensorType(tensor.Float32, onnx.Size(2))
		x := g.AddInput("x", typ)
		seq, opt, inf := b.Op("SequenceConstruct", nil, x, x), b.Op("Optional", nil, x), b.Op("Log", nil, b.Op("Relu", nil, b.Op("Neg", nil, b.Op("Abs", nil, x))))
		seq.Name, opt.Name, inf.Name = "seq", "opt", "inf"
		seq.Type, opt.Type = onnx.Type{Kind: onnx.SequenceKind, Elem: &typ}, onnx.Type{Kind: onnx.OptionalKind, Elem: &typ}
		inf.Type = typ
		return []*onnx.Value{seq, opt, inf}
	})
	x := writeFile(t, "x.json", []byte("[1, 2]"))
	r := ok(t, "run", m, "--input", "x="+x)
	assert.Contains(t, r.out, "0: [1 2]\n1: [1 2]\n")
	r = ok(t, "run", m, "--input", "x="+x, "--json")
	assert.Contains(t, r.out, `[[1,2],[1,2]]`)
	assert.Contains(t, r.out, `"data":[null,null]`) // -inf has no JSON
	assert.Equal(t, "none", valueText(&tensor.Optional{}, 3))
	assert.Nil(t, jsonValue(&tensor.Optional{}))
	many := &tensor.Sequence{}
	for range 5 {
		many.Elems = append(many.Elems, f32(nil, 1))
	}
	assert.Contains(t, valueText(many, 3), "… 2 more")
}
