package data

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

// Some samples of a source, by their numbers.
func TestSelect(t *testing.T) {
	dir := put(t, map[string][]byte{"a.csv": []byte("x,y\n0,a\n1,b\n2,c\n3,d\n4,e\n5,f\n6,g\n")})
	src, err := Open(filepath.Join(dir, "a.csv"), Options{BatchSize: 3, Inputs: []Input{{"x", onnx.UnrankedType(tensor.Float32)}, {"y", onnx.UnrankedType(tensor.String)}}})
	require.NoError(t, err)
	var x []float32
	var y, places []string
	for b, err := range Select(src, func(i int) bool { return i%4 != 0 && i != 3 }).Batches(context.Background()) {
		require.NoError(t, err)
		require.Equal(t, b.Size(), b.Inputs["y"].Dim(0))
		x, y = append(x, tensor.Data[float32](b.Inputs["x"])...), append(y, tensor.Data[string](b.Inputs["y"])...)
		for i := range b.Size() {
			places = append(places, b.Place(i))
		}
	}
	require.Equal(t, []float32{1, 2, 5, 6}, x)
	require.Equal(t, []string{"b", "c", "f", "g"}, y)
	for i, row := range []int{2, 3, 6, 7} {
		require.Equal(t, fmt.Sprintf("%s, row %d", filepath.Join(dir, "a.csv"), row), places[i])
	}
	none := 0
	for range Select(src, func(int) bool { return false }).Batches(context.Background()) {
		none++
	}
	require.Zero(t, none)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, err := range Select(src, func(int) bool { return true }).Batches(ctx) {
		require.ErrorIs(t, err, context.Canceled)
	}
}

// put writes files below a new folder and returns its path.
func put(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		require.NoError(t, os.WriteFile(p, b, 0o644))
	}
	return dir
}

func vec(v ...float32) *tensor.Tensor { return tensor.Of(v, len(v)) }

func npy(t *testing.T, x *tensor.Tensor) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, tensor.WriteNPY(&b, x))
	return b.Bytes()
}

func npz(t *testing.T, arrays ...tensor.Named) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, tensor.WriteNPZ(&b, arrays))
	return b.Bytes()
}

// inputs makes inputs of name, type pairs.
func inputs(pairs ...any) Options {
	var o Options
	for i := 0; i < len(pairs); i += 2 {
		o.Inputs = append(o.Inputs, Input{pairs[i].(string), pairs[i+1].(onnx.Type)})
	}
	return o
}

var floats = onnx.TensorType(tensor.Float32, onnx.Name("N"))

// read returns all batches, twice: a Source gives the same again.
func read(t *testing.T, src Source) []Batch {
	t.Helper()
	var all [2][]Batch
	for i := range all {
		for b, err := range src.Batches(context.Background()) {
			require.NoError(t, err)
			all[i] = append(all[i], b)
		}
	}
	require.Equal(t, len(all[0]), len(all[1]))
	if src.Len() >= 0 {
		require.Len(t, all[0], src.Len())
	}
	for i, b := range all[0] {
		require.Equal(t, b.Name, all[1][i].Name)
		for k, x := range b.Inputs {
			require.NoError(t, tensor.Compare(x, all[1][i].Inputs[k], tensor.Tolerance{}))
		}
	}
	return all[0]
}

// readErr opens and reads path, and returns what goes wrong.
func readErr(path string, o Options) error {
	src, err := Open(path, o)
	if err != nil {
		return err
	}
	for _, err := range src.Batches(context.Background()) {
		if err != nil {
			return err
		}
	}
	return nil
}

func open(t *testing.T, path string, o Options) []Batch {
	t.Helper()
	src, err := Open(path, o)
	require.NoError(t, err)
	return read(t, src)
}

func TestArrays(t *testing.T) {
	ids := tensor.Of([]int64{7, 8}, 2)
	nan := vec(float32(math.NaN()), 1)
	dir := put(t, map[string][]byte{
		"b.npz":     npz(t, tensor.Named{Name: "x", Tensor: vec(1, 2)}, tensor.Named{Name: "ids", Tensor: ids}, tensor.Named{Name: "more", Tensor: ids}),
		"a.npz":     npz(t, tensor.Named{Name: "ids", Tensor: ids}, tensor.Named{Name: "x", Tensor: nan}),
		"README.md": []byte("text"),
		".hidden":   nil,
	})
	o := inputs("x", floats, "ids", onnx.TensorType(tensor.Int64, onnx.Name("N")))
	bs := open(t, dir, o)
	require.Len(t, bs, 2)
	require.Equal(t, filepath.Join(dir, "a.npz"), bs[0].Name)
	require.Len(t, bs[1].Inputs, 2, "others are left out")
	require.Equal(t, []float32{1, 2}, tensor.Data[float32](bs[1].Inputs["x"]))
	require.Equal(t, 2, bs[1].Size())
	require.Len(t, bs[1].Values(), 2)
	require.Len(t, open(t, filepath.Join(dir, "b.npz"), Options{})[0].Inputs, 3, "nothing is known of the model")

	dir = put(t, map[string][]byte{"1.npy": npy(t, vec(1)), "2.npy": npy(t, vec(2, 3))})
	bs = open(t, dir, inputs("x", floats))
	require.Len(t, bs, 2)
	require.Equal(t, []float32{2, 3}, tensor.Data[float32](bs[1].Inputs["x"]))
	src, err := Open(dir, inputs("x", floats))
	require.NoError(t, err)
	require.Len(t, read(t, First(src, 1)), 1)
	require.Len(t, read(t, First(src, 5)), 2)
	require.Empty(t, read(t, First(src, 0)))
	require.Len(t, read(t, Of(bs...)), 2)
}

func TestProtos(t *testing.T) {
	x := vec(1, 2, 3)
	o := inputs("a", floats, "b", floats)
	set := map[string][]byte{}
	for i := range 11 { // in order of numbers: 2 before 10
		set[fmt.Sprintf("test_data_set_%d/input_0.pb", i)] = onnx.EncodeTensor("b", vec(float32(i)))
		set[fmt.Sprintf("test_data_set_%d/input_1.pb", i)] = onnx.EncodeTensor("a", x)
		set[fmt.Sprintf("test_data_set_%d/output_0.pb", i)] = []byte("not read")
	}
	set["model.onnx"] = []byte("not read")
	dir := put(t, set)
	bs := open(t, dir, o)
	require.Len(t, bs, 11)
	require.Equal(t, []float32{2}, tensor.Data[float32](bs[2].Inputs["b"]), "by name")
	require.Equal(t, []float32{10}, tensor.Data[float32](bs[10].Inputs["b"]))
	require.Len(t, open(t, filepath.Join(dir, "test_data_set_3"), o), 1)

	dir = put(t, map[string][]byte{"input_0.pb": onnx.EncodeTensor("", x), "input_1.pb": onnx.EncodeTensor("else", vec(4))})
	bs = open(t, dir, o)
	require.Equal(t, []float32{4}, tensor.Data[float32](bs[0].Inputs["b"]), "by position")

	dir = put(t, map[string][]byte{"s1.pb": onnx.EncodeTensor("a", x), "s2.pb": onnx.EncodeTensor("other", x)})
	require.Len(t, open(t, dir, inputs("a", floats)), 2)
}

func TestErrors(t *testing.T) {
	x, two := inputs("x", floats), inputs("x", floats, "y", floats)
	img := pngOf(t, 2, 2)
	dir := put(t, map[string][]byte{
		"empty/README":      nil,
		"x.npz":             npz(t, tensor.Named{Name: "x", Tensor: vec(1)}),
		"other.npz":         npz(t, tensor.Named{Name: "z", Tensor: vec(1)}),
		"d.npy":             npy(t, tensor.Of([]float64{1}, 1)),
		"m.npy":             npy(t, tensor.Of([]float32{1, 2}, 1, 2)),
		"v.npy":             npy(t, vec(1, 2)),
		"cut.npy":           npy(t, vec(1, 2, 3))[:130],
		"bad.npz":           []byte("PK no"),
		"bad.pb":            []byte{0xff, 0xff, 0xff},
		"named.pb":          onnx.EncodeTensor("q", vec(1)),
		"x.txt":             nil,
		"twice/input_0.pb":  onnx.EncodeTensor("x", vec(1)),
		"twice/input_1.pb":  onnx.EncodeTensor("x", vec(1)),
		"broken/input_0.pb": {0xff},
		"many/input_0.pb":   onnx.EncodeTensor("x", vec(1)),
		"many/input_7.pb":   onnx.EncodeTensor("zz", vec(1)),
		"imgs/a.png":        img,
		"imgs/b.png":        pngOf(t, 3, 2),
		"cut/a.png":         img[:40],
	})
	pictures := inputs("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(3), onnx.Name("H"), onnx.Name("W")))
	pictures.BatchSize = 2
	fixed := inputs("x", onnx.TensorType(tensor.Float32, onnx.Size(8), onnx.Size(3), onnx.Size(2), onnx.Size(2)))
	for _, c := range []struct {
		path string
		o    Options
		want string
	}{
		{"missing", x, "no such file"},
		{"empty", x, "nothing in it is data"},
		{"x.npz", two, `x.npz: it has nothing for input "y" (float32[N])`},
		{"other.npz", x, "its arrays are z: none is called x"},
		{"d.npy", x, "d.npy: it holds float64 [1], the input is float32[N]"},
		{"m.npy", x, "give it 1 dimensions"},
		{"v.npy", inputs("x", onnx.TensorType(tensor.Float32, onnx.Size(3))), "dimension 0 is 2, want 3"},
		{"v.npy", two, "needs a model with a single input; the inputs are x, y"},
		{"cut.npy", x, "cut.npy: "},
		{"bad.npz", x, "bad.npz: "},
		{"bad.pb", x, "bad.pb: it is no TensorProto"},
		{"named.pb", two, `its tensor is called "q", the model's inputs are x, y`},
		{"x.txt", x, `unknown kind of file ".txt": want .csv, .gif`},
		{"twice", x, `input_1.pb: input "x" is there twice`},
		{"broken", x, "input_0.pb: it is no TensorProto"},
		{"many", x, `input_7.pb: its tensor is called "zz"`},
		{"imgs", x, "an image cannot be an input of type float32[N]"},
		{"imgs", pictures, "3 × 2 pixels, but " + filepath.Join(dir, "imgs", "a.png") + " of the same batch has 2 × 2"},
		{"imgs", fixed, "the input takes batches of 8 images"},
		{"cut", pictures, "a.png: "},
		{"imgs", two, "an image needs a model with a single input"},
		{"v.npy", Options{BatchSize: -1}, "BatchSize is -1"},
		{"v.npy", Options{Preprocess: "imagenet"}, `v.npy: preprocessing "imagenet" is for images, and none are there`},
		{"many", Options{Preprocess: "unit"}, `many: preprocessing "unit" is for images`},
	} {
		err := readErr(filepath.Join(dir, c.path), c.o)
		require.ErrorContains(t, err, c.want, c.path)
		require.ErrorContains(t, err, "data: ")
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, path := range []string{"x.npz", "imgs"} {
		o := x
		if path == "imgs" {
			o = pictures
		}
		src, err := Open(filepath.Join(dir, path), o)
		require.NoError(t, err)
		n := 0
		for _, err := range src.Batches(ctx) {
			require.ErrorIs(t, err, context.Canceled)
			n++
		}
		require.Equal(t, 1, n)
	}
}

func TestReadFileErrors(t *testing.T) {
	dir := put(t, map[string][]byte{"a.npy": npy(t, vec(1)), "a.json": []byte("[1, 2"), "b.json": []byte("[1.5, 2]"), "dir.npz/x": nil})
	o := inputs("x", floats)
	for _, c := range []struct{ name, file, want string }{
		{"q", "a.npy", `no input "q"; its inputs are x`},
		{"", "a.npy", "does not say which input it is for"},
		{"x", "a.json", "unexpected EOF"},
		{"x", "none.npy", "no such file"},
		{"x", "dir.npz", "a folder"},
	} {
		_, err := ReadFile(c.name, filepath.Join(dir, c.file), o)
		require.ErrorContains(t, err, c.want)
	}
	v, err := ReadFile("x", filepath.Join(dir, "b.json"), o)
	require.NoError(t, err)
	require.Equal(t, []float32{1.5, 2}, tensor.Data[float32](v["x"].(*tensor.Tensor)))
}

func TestInputsOf(t *testing.T) {
	g := onnx.NewGraph("g", map[string]int{"": 21})
	g.AddInput("x", floats)
	g.AddInput("w", floats).Const = vec(1)
	require.Equal(t, []Input{{"x", floats}}, InputsOf(&onnx.Model{Graph: g}))
}

func TestBatchSize(t *testing.T) {
	for _, c := range []struct {
		want int
		in   map[string]*tensor.Tensor
	}{
		{1, nil},
		{1, map[string]*tensor.Tensor{"s": tensor.Scalar(float32(1))}},
		{3, map[string]*tensor.Tensor{"s": tensor.Scalar(float32(1)), "v": vec(1, 2, 3)}},
		{1, map[string]*tensor.Tensor{"u": vec(1, 2), "v": vec(1, 2, 3)}},
	} {
		require.Equal(t, c.want, Batch{Inputs: c.in}.Size())
	}
}
