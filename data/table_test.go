package data

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

const iris = "\ufeffsepal, petal ,width,label\n1,2,3,a\n4,5.5,6,b\n-7,8e1,nan,a\n"

func TestCSV(t *testing.T) {
	dir := put(t, map[string][]byte{"iris.csv": []byte(iris)})
	path := filepath.Join(dir, "iris.csv")
	matrix := onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(3))
	o := inputs("x", matrix)
	o.Ignore, o.BatchSize = []string{"label"}, 2
	bs := open(t, dir, o)
	require.Len(t, bs, 2)
	require.Equal(t, []float32{1, 2, 3, 4, 5.5, 6}, tensor.Data[float32](bs[0].Inputs["x"]))
	require.Equal(t, []int{2, 3}, bs[0].Inputs["x"].Shape())
	require.Equal(t, []int{1, 3}, bs[1].Inputs["x"].Shape())
	require.Equal(t, path+", rows 3 to 3", bs[1].Name)
	require.True(t, tensor.Data[float32](bs[1].Inputs["x"])[2] != tensor.Data[float32](bs[1].Inputs["x"])[2], "NaN is for others to judge")

	o.Inputs[0].Type = onnx.TensorType(tensor.Float64, onnx.Size(2), onnx.Size(1), onnx.Name("C"))
	o.BatchSize = 0
	bs = open(t, path, o)
	require.Len(t, bs, 1, "the model takes two rows at a time")
	require.Equal(t, []int{2, 1, 3}, bs[0].Inputs["x"].Shape())

	o = inputs("petal", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(1)), "label", onnx.TensorType(tensor.String, onnx.Name("N")))
	bs = open(t, path, o)
	require.Len(t, bs, 3)
	require.Equal(t, []float32{5.5}, tensor.Data[float32](bs[1].Inputs["petal"]))
	require.Equal(t, []string{"b"}, tensor.Data[string](bs[1].Inputs["label"]))
	require.Equal(t, []int{1}, bs[1].Inputs["label"].Shape())

	bs = open(t, path, Options{Columns: map[string][]string{"b": {"width", "sepal"}, "a": {"petal"}}, BatchSize: 3})
	require.Equal(t, []float32{3, 1, 6, 4}, tensor.Data[float32](bs[0].Inputs["b"])[:4])
	require.Equal(t, []int{3, 1}, bs[0].Inputs["a"].Shape())
}

func TestCSVErrors(t *testing.T) {
	matrix := onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Name("C"))
	for _, c := range []struct {
		text string
		o    Options
		want string
	}{
		{"", inputs("x", matrix), "it is empty: want a header"},
		{"a,b\n", inputs("x", matrix), "no rows"},
		{"a,b\n1\n", inputs("x", matrix), "wrong number of fields"},
		{"a,a\n1,2\n", inputs("x", matrix), `two columns "a"`},
		{"a,b\n1,2\n3,x\n", inputs("x", matrix), `row 2: column "b": "x" is no float32`},
		{"a,b\n1,2\n", Options{}, "does not say which columns are which input"},
		{"a,b\n1,2\n", inputs("x", matrix, "a", matrix), `no column is called like input "x"; the columns are a, b`},
		{"a,b\n1,2\n", inputs("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(3))), `2 columns (a, b) for input "x", which is float32[N,3]`},
		{"a,b\n1,2\n", inputs("x", onnx.TensorType(tensor.Float32)), "2 columns (a, b)"},
		{"a,b\n1,2\n", inputs("x", onnx.TensorType(tensor.Float32, onnx.Name("N"))), "2 columns (a, b)"},
		{"a\n300\n", inputs("a", onnx.TensorType(tensor.Uint8, onnx.Name("N"))), "300 is no uint8"},
		{"a\n1.5\n", inputs("a", onnx.TensorType(tensor.Int64, onnx.Name("N"))), `"1.5" is no int64`},
		{"a\nmaybe\n", inputs("a", onnx.TensorType(tensor.Bool, onnx.Name("N"))), `"maybe" is no bool`},
		{"a\n1\n", Options{Ignore: []string{"z"}, Inputs: inputs("x", matrix).Inputs}, `no column "z" to leave out`},
		{"a\n1\n", Options{Ignore: []string{"a"}, Inputs: inputs("x", matrix).Inputs}, "no column is left"},
		{"a\n1\n", Options{Columns: map[string][]string{"x": {"q"}}}, `no column "q"`},
		{"a\n1\n", Options{BatchSize: 2, Inputs: inputs("x", onnx.TensorType(tensor.Float32, onnx.Size(4), onnx.Size(1))).Inputs}, "want 4"},
	} {
		path := filepath.Join(put(t, map[string][]byte{"t.csv": []byte(c.text)}), "t.csv")
		err := readErr(path, c.o)
		require.ErrorContains(t, err, c.want, c.text)
		require.ErrorContains(t, err, path)
	}
}

func TestCells(t *testing.T) {
	for _, c := range []struct {
		d    tensor.DType
		text string
		want any
	}{
		{tensor.Uint64, "18446744073709551615", uint64(1<<64 - 1)},
		{tensor.Int8, "-128", int8(-128)},
		{tensor.Float16, "1.5", tensor.F16Of(1.5)},
		{tensor.BFloat16, "-2", tensor.BF16Of(-2)},
		{tensor.Bool, "true", true},
		{tensor.Float64, "1e300", 1e300},
	} {
		x := tensor.New(c.d, 2)
		require.NoError(t, setText(x, 1, c.text))
		require.EqualValues(t, tensor.New(c.d, 1).At(0), x.At(0))
		y := tensor.New(c.d, 1)
		require.NoError(t, setText(y, 0, c.text))
		require.Equal(t, y.At(0), x.At(1))
	}
	require.ErrorContains(t, setText(tensor.New(tensor.Complex64, 1), 0, "1"), "no cell of a table is complex64")
}

func TestLabels(t *testing.T) {
	for _, c := range []struct {
		text string
		want []Label
		err  string
	}{
		{"file,label\na.png,3\nb.png, 4\n", []Label{{"a.png", "3"}, {"b.png", "4"}}, ""},
		{"3\n1\n", []Label{{"", "3"}, {"", "1"}}, ""},
		{"label\ncat\n", []Label{{"", "cat"}}, ""},
		{"a,1\na,2\n", nil, `row 2: "a" has a label already`},
		{"a,b,c\n", nil, "row 1 has 3 columns"},
		{"a,1\nb,\n", nil, "row 2 has an empty cell"},
		{"label\n", nil, "no labels"},
		{"a,1\nb\n", nil, "wrong number of fields"},
	} {
		path := filepath.Join(put(t, map[string][]byte{"labels.csv": []byte(c.text)}), "labels.csv")
		got, err := Labels(path)
		if c.err != "" {
			require.ErrorContains(t, err, c.err)
			require.ErrorContains(t, err, path)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	_, err := Labels(filepath.Join(t.TempDir(), "none.csv"))
	require.ErrorContains(t, err, "none.csv")
	n, err := Label{"", "12"}.Class()
	require.NoError(t, err)
	require.Equal(t, 12, n)
	_, err = Label{"", "cat"}.Class()
	require.ErrorContains(t, err, `"cat"`)
}
