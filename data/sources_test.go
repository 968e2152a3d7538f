package data

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestJSONLines(t *testing.T) {
	dir := put(t, map[string][]byte{
		"a.jsonl": []byte(`{"x": [[1, 2], [3, 4]], "y": 1}` + "\n\n" + `{"y": 0, "x": [[5, 6], [7, 8.5]], "z": "more"}` + "\n"),
		"b.jsonl": []byte(`{"a": 1, "b": "red"}` + "\n" + `{"b": null, "a": 2.5}` + "\n" + `{"a": 3, "c": true}`),
	})
	bs := open(t, filepath.Join(dir, "a.jsonl"), inputs("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(2), onnx.Size(2)), "y", onnx.TensorType(tensor.Int64, onnx.Name("N"))))
	require.Len(t, bs, 2)
	require.Equal(t, []int{1, 2, 2}, bs[1].Inputs["x"].Shape())
	require.Equal(t, []float32{5, 6, 7, 8.5}, tensor.Data[float32](bs[1].Inputs["x"]))
	require.Equal(t, []int64{0}, tensor.Data[int64](bs[1].Inputs["y"]))

	table, err := OpenTable(filepath.Join(dir, "b.jsonl"))
	require.NoError(t, err)
	require.Equal(t, []string{"a", "b", "c"}, table.Columns())
	require.Equal(t, [][]string{{"1", "red", ""}, {"2.5", "", ""}, {"3", "", "true"}}, rowsOf(t, table))

	matrix := onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Name("C"))
	for text, want := range map[string]string{
		"":                             "no object",
		"{\"x\": [1]}\n[1]\n":          "line 2: want a JSON object",
		"{\"x\": [1]}\n{\"x\": [1]":    "line 2: want a JSON object",
		"{\"x\": [1]} 7\n":             "line 1: want a JSON object: something follows",
		"{\"x\": [1]}\n\n{\"y\": 1}\n": `line 3: there is no "x"`,
		"{\"x\": [1]}\n{\"x\": [1,2]}": `line 2: field "x" is of shape [2], in the first object it is [1]`,
		"{\"x\": [[1],[1,2]]}":         `line 1: field "x": ragged`,
		"{\"x\": [\"a\"]}":             `field "x": element 0: a string, want float32`,
		"{\"y\": [1]}":                 `no field is called like input "x"; the fields are y`,
	} {
		path := filepath.Join(put(t, map[string][]byte{"t.jsonl": []byte(text)}), "t.jsonl")
		err := readErr(path, inputs("x", matrix))
		require.ErrorContains(t, err, want, text)
		require.ErrorContains(t, err, path)
	}
}

// Lines are parsed by blocks, in parallel: in their order, with errors at their lines.
func TestJSONLinesBlocks(t *testing.T) {
	const n = 50000
	var table, arrays strings.Builder
	want, line, lines := [][]string{}, 0, []int{}
	for i := range n {
		if i > n/2 && i%1000 == 0 {
			line++
			table.WriteString(" \r\n")
			arrays.WriteString("\n")
		}
		line++
		lines = append(lines, line)
		extra, cell := "", ""
		if i%7 == 3 {
			extra, cell = `, "note": "line"`, "line"
		}
		fmt.Fprintf(&table, "{\"a\": %d, \"b\": \"text %d\"%s}\r\n", i, i%13, extra)
		fmt.Fprintf(&arrays, "{\"x\": [%d, %d], \"y\": %d}\n", i, i%9, i%2)
		want = append(want, []string{fmt.Sprint(i), fmt.Sprintf("text %d", i%13), cell})
	}
	require.Greater(t, min(table.Len(), arrays.Len()), 4*blockSize)
	save := func(text string) string {
		return filepath.Join(put(t, map[string][]byte{"t.jsonl": []byte(text)}), "t.jsonl")
	}
	path := save("\ufeff" + table.String())
	x, err := OpenTable(path)
	require.NoError(t, err)
	require.Equal(t, n, x.Len())
	require.Equal(t, []string{"a", "b", "note"}, x.Columns())
	require.Equal(t, want, rowsOf(t, x))
	for _, i := range []int{0, n/2 + 1, n - 1} {
		require.Equal(t, fmt.Sprintf("%s, line %d", path, lines[i]), Place(x, i))
	}

	o := inputs("x", onnx.TensorType(tensor.Float32, onnx.Name("N"), onnx.Size(2)))
	o.BatchSize = 1000
	bs := open(t, save(arrays.String()), o)
	require.Len(t, bs, n/1000)
	for i, b := range bs {
		for k, v := range tensor.Data[float32](b.Inputs["x"]) {
			at := i*1000 + k/2
			require.Equal(t, []float32{float32(at), float32(at % 9)}[k%2], v)
		}
	}

	// What is wrong with a cell is found when it is read, behind all rows before.
	bad := save(table.String() + "{\"a\": 1}\n{\"a\": 2, \"b\": {}}\n" + table.String())
	x, err = OpenTable(bad)
	require.NoError(t, err)
	rows := 0
	for _, err = range x.Rows(t.Context()) {
		if err == nil {
			rows++
		}
	}
	require.Equal(t, n+1, rows)
	require.EqualError(t, err, fmt.Sprintf("data: %s: line %d: field \"b\": an object, want a number, text, a bool or an array", bad, line+2))
	// What is no object is found at once; of several the first.
	for text, want := range map[string]string{
		table.String() + "[1]\n" + table.String() + "{\n":        fmt.Sprintf("line %d: want a JSON object: ", line+1),
		table.String() + "{} {}\n" + table.String() + "null\n":   fmt.Sprintf("line %d: want a JSON object: something follows the object", line+1),
		table.String() + table.String() + "{\"a\": 1":            fmt.Sprintf("line %d: want a JSON object: unexpected EOF", 2*line+1),
		arrays.String() + "\n{\"x\": [1], \"y\": 1}\n" + "[1]\n": fmt.Sprintf("line %d: want a JSON object: ", line+3),
		arrays.String() + "\n{\"x\": [1], \"y\": 1}\n":           fmt.Sprintf("line %d: field \"x\" is of shape [1], in the first object it is [2]", line+2),
	} {
		path := save(text)
		require.ErrorContains(t, readErr(path, o), path+": "+want)
	}
	for _, err = range textBlocks(t.Context(), bytes.NewReader(make([]byte, maxLine)), wholeLines, "it is longer") {
	}
	require.EqualError(t, err, "line 1: it is longer")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err = range x.Rows(ctx) {
	}
	require.ErrorIs(t, err, context.Canceled)
}

// More columns than there may be are named with the line that has too many.
func TestJSONLinesColumns(t *testing.T) {
	var b strings.Builder
	for i := range maxColumns + 1 {
		fmt.Fprintf(&b, "{\"c%d\": 1}\n", i)
	}
	b.WriteString("[]\n")
	_, err := OpenTable(filepath.Join(put(t, map[string][]byte{"t.jsonl": []byte(b.String())}), "t.jsonl"))
	require.ErrorContains(t, err, fmt.Sprintf("line %d: there are more than %d fields", maxColumns+1, maxColumns))
}

// rowsOf reads a table.
func rowsOf(t *testing.T, table Table) (rows [][]string) {
	t.Helper()
	for row, err := range table.Rows(context.Background()) {
		require.NoError(t, err)
		rows = append(rows, slices.Clone(row))
	}
	return rows
}

func TestShards(t *testing.T) {
	dir := put(t, map[string][]byte{
		"p-1.csv": []byte("a,b\n1,2\n3,4\n"), "p-2.csv": []byte("b,a\n6,5\n"), "q.jsonl": []byte("\n{\"a\": 7}\n"),
		"other.csv": []byte("a,c\n1,2\n"), "less.csv": []byte("a\n1\n"),
	})
	files, err := Glob(filepath.Join(dir, "p-*.csv"), filepath.Join(dir, "q.jsonl"))
	require.NoError(t, err)
	table, err := OpenTable(files...)
	require.NoError(t, err)
	require.Equal(t, 4, table.Len())
	require.Equal(t, [][]string{{"1", "2"}, {"3", "4"}, {"5", "6"}, {"7", ""}}, rowsOf(t, table))
	require.Equal(t, files[0]+", row 2", Place(table, 1))
	require.Equal(t, files[1]+", row 1", Place(table, 2))
	require.Equal(t, files[2]+", line 2", Place(table, 3))

	_, err = OpenTable(files[0], filepath.Join(dir, "less.csv"))
	require.ErrorContains(t, err, `less.csv: it has no column "b"`)
	_, err = OpenTable(filepath.Join(dir, "less.csv"), filepath.Join(dir, "other.csv"))
	require.ErrorContains(t, err, `other.csv: it has a column "c"`)
	_, err = OpenTable(filepath.Join(dir, "none.csv"))
	require.ErrorContains(t, err, "none.csv")
	_, err = OpenTable("x.txt")
	require.ErrorContains(t, err, "no kind of table")
	_, err = Glob(filepath.Join(dir, "z*.csv"))
	require.ErrorContains(t, err, "there is no such file")
}

func TestIDX(t *testing.T) {
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err := w.Write([]byte{0, 0, 0x0b, 2, 0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xfe, 1, 0})
	require.NoError(t, err)
	require.NoError(t, w.Close())
	dir := put(t, map[string][]byte{
		"x-idx2-short.gz": z.Bytes(),
		"y.idx":           {0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9},
		"f.idx1-float":    {0, 0, 0x0d, 1, 0, 0, 0, 1, 0x3f, 0x80, 0, 0},
		"d.idx":           {0, 0, 0x0e, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0},
	})
	x, err := ReadArray(filepath.Join(dir, "x-idx2-short.gz"))
	require.NoError(t, err)
	require.Equal(t, []int{2, 1}, x.Shape())
	require.Equal(t, []int16{-2, 256}, tensor.Data[int16](x))
	f, err := ReadArray(filepath.Join(dir, "f.idx1-float"))
	require.NoError(t, err)
	require.Equal(t, []float32{1}, tensor.Data[float32](f))
	d, err := ReadArray(filepath.Join(dir, "d.idx"))
	require.NoError(t, err)
	require.Equal(t, []float64{-2}, tensor.Data[float64](d))
	bs := open(t, filepath.Join(dir, "y.idx"), inputs("y", onnx.TensorType(tensor.Uint8, onnx.Name("N"))))
	require.Equal(t, []uint8{7, 8, 9}, tensor.Data[uint8](bs[0].Inputs["y"]))

	for want, b := range map[string][]byte{
		"begins with":              {0, 0, 7, 1, 0, 0, 0, 0},
		"its head":                 {0, 0, 8},
		"size 2 of 2":              {0, 0, 8, 2, 0, 0, 0, 1, 0},
		"there are at most 12":     {0, 0, 8, 2, 0x10, 0, 0, 0, 0, 0, 0, 4},
		"at most 2147483647":       {0, 0, 8, 1, 0xff, 0, 0, 0},
		"1 bytes, a uint8 of":      {0, 0, 8, 1, 0, 0, 0, 2, 5},
		"behind the last element ": {0, 0, 8, 1, 0, 0, 0, 1, 5, 6},
	} {
		path := filepath.Join(put(t, map[string][]byte{"bad.idx": b}), "bad.idx")
		_, err := ReadArray(path)
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, path)
	}
	_, err = ReadArray(filepath.Join(put(t, map[string][]byte{"cut.idx.gz": z.Bytes()[:z.Len()-4]}), "cut.idx.gz"))
	require.Error(t, err, "a checksum that is cut off")
}

func TestClassFolders(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))))
	dir := put(t, map[string][]byte{"dog/1.png": b.Bytes(), "cat/b/2.png": b.Bytes(), "cat/1.png": b.Bytes(), "cat/notes.txt": nil, "README": nil, ".git/x.png": nil})
	files, classes, names, err := ClassFolders(dir)
	require.NoError(t, err)
	require.Equal(t, []string{"cat", "dog"}, names)
	require.Equal(t, []int{0, 0, 1}, classes)
	require.True(t, strings.HasSuffix(files[2], filepath.Join("dog", "1.png")))
	_, _, _, err = ClassFolders(put(t, map[string][]byte{"a/x.txt": nil}))
	require.ErrorContains(t, err, "no image of this class")
	_, _, _, err = ClassFolders(t.TempDir())
	require.ErrorContains(t, err, "want one for each class")
	_, _, _, err = ClassFolders(put(t, map[string][]byte{"a/x.png": nil, "y.png": nil}))
	require.ErrorContains(t, err, "which class")
}

// Sources that are joined are read one after the other, and their batches keep their places.
func TestJoin(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) Source {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		s, err := Open(path, Options{BatchSize: 2, Columns: map[string][]string{"x": {"x"}}})
		require.NoError(t, err)
		return s
	}
	a, b := write("a.csv", "x\n1\n2\n3\n"), write("b.csv", "x\n4\n5\n")
	require.Equal(t, a, Join(a))
	s := Join(a, b)
	require.Equal(t, 3, s.Len())
	var places []string
	var values []float32
	for batch, err := range s.Batches(context.Background()) {
		require.NoError(t, err)
		places = append(places, filepath.Base(batch.Place(0)))
		values = append(values, tensor.Data[float32](batch.Inputs["x"])...)
	}
	require.Equal(t, []string{"a.csv, row 1", "a.csv, row 3", "b.csv, row 1"}, places)
	require.Equal(t, []float32{1, 2, 3, 4, 5}, values)
}
