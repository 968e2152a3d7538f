package onnx_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestEncodeErrors(t *testing.T) {
	two := graph(`node { op_type: "Relu" name: "a" input: "x" output: "h" } node { op_type: "If" name: "b" input: "h" output: "y"
		attribute { name: "then_branch" type: GRAPH g { name: "t" node { op_type: "Neg" input: "h" output: "t1" } output { name: "t1" } } } }
		initializer { name: "w" data_type: 1 float_data: 1 }`)
	body := func(m *onnx.Model) *onnx.Graph { return m.Graph.Nodes[1].Bodies()[0] }
	for name, c := range map[string]struct {
		damage func(m *onnx.Model)
		want   string
	}{
		"opset":        {func(m *onnx.Model) { m.Graph.Nodes[0].Opset = 20 }, `onnx: m.onnx: graph "main": node 0 (Relu "a"): it means opset 20 of domain "", the model declares 17`},
		"domain":       {func(m *onnx.Model) { m.Graph.Nodes[0].Domain = "x" }, `node 0 (x.Relu "a"): the model does not import domain "x"`},
		"no graph":     {func(m *onnx.Model) { m.Graph = nil }, `the model has no graph`},
		"order":        {func(m *onnx.Model) { m.Graph.Nodes[0], m.Graph.Nodes[1] = m.Graph.Nodes[1], m.Graph.Nodes[0] }, `input 0: "h" is not defined here`},
		"hidden":       {func(m *onnx.Model) { body(m).AddInput("h", onnx.Type{}) }, `attribute "then_branch": graph "t": node 0 (Neg of "t1"): input 0: "h" means another value here`},
		"names":        {func(m *onnx.Model) { m.Graph.Nodes[0].Out[0].Name = "x" }, `output 0: "x" is defined twice`},
		"no name":      {func(m *onnx.Model) { m.Graph.Nodes[0].Out[0].Name = "" }, `a value has no name`},
		"inputs":       {func(m *onnx.Model) { m.Graph.AddInput("x", onnx.Type{}) }, `input 1: "x" is defined twice`},
		"input name":   {func(m *onnx.Model) { m.Graph.Inputs = append(m.Graph.Inputs, &onnx.Value{}) }, `input 1: a value has no name`},
		"const":        {func(m *onnx.Model) { m.Graph.AddConst(&onnx.Value{Name: "x"}) }, `two values are called "x"`},
		"no tensor":    {func(m *onnx.Model) { m.Graph.AddConst(&onnx.Value{Name: "q"}) }, `initializer "q": it has no tensor`},
		"output":       {func(m *onnx.Model) { m.Graph.Outputs[0] = &onnx.Value{Name: "q"} }, `output 0: "q" is not defined here`},
		"attribute":    {func(m *onnx.Model) { m.Graph.Nodes[0].Attrs = onnx.Attrs{{Name: "a", Value: 3}} }, `attribute "a": a value of type int`},
		"nil tensor":   {func(m *onnx.Model) { m.Graph.Nodes[0].Attrs = onnx.Attrs{{Name: "a", Value: (*tensor.Tensor)(nil)}} }, `attribute "a": no tensor`},
		"nil tensors":  {func(m *onnx.Model) { m.Graph.Nodes[0].Attrs = onnx.Attrs{{Name: "a", Value: []*tensor.Tensor{nil}}} }, `attribute "a": no tensor`},
		"nil sparse":   {func(m *onnx.Model) { m.Graph.Nodes[0].Attrs = onnx.Attrs{{Name: "a", Value: (*tensor.Sparse)(nil)}} }, `attribute "a": no sparse tensor`},
		"nil sparses":  {func(m *onnx.Model) { m.Graph.Nodes[0].Attrs = onnx.Attrs{{Name: "a", Value: []*tensor.Sparse{nil}}} }, `attribute "a": no sparse tensor`},
		"nil graph":    {func(m *onnx.Model) { m.Graph.Nodes[0].Attrs = onnx.Attrs{{Name: "a", Value: (*onnx.Graph)(nil)}} }, `attribute "a": no graph`},
		"nil graphs":   {func(m *onnx.Model) { m.Graph.Nodes[0].Attrs = onnx.Attrs{{Name: "a", Value: []*onnx.Graph{nil}}} }, `attribute "a": no graph`},
		"function":     {func(m *onnx.Model) { m.Functions[0].Graph.Nodes[0].Opset = 3 }, `function "f.F": node 0 (Elu of "d"): it means opset 3`},
		"function out": {func(m *onnx.Model) { m.Functions[0].Graph.Outputs[0] = &onnx.Value{Name: "q"} }, `function "f.F": output 0: "q" is not defined here`},
		"function in":  {func(m *onnx.Model) { m.Functions[0].Graph.Inputs[0].Name = "" }, `function "f.F": a value has no name`},
		"function con": {func(m *onnx.Model) { m.Functions[0].Graph.AddConst(&onnx.Value{Name: "q"}) }, `function "f.F": initializer "q": a function has none`},
		"function att": {func(m *onnx.Model) { m.Functions[0].AttrDefaults = onnx.Attrs{{Name: "a"}} }, `function "f.F": attribute "a"`},
	} {
		t.Run(name, func(t *testing.T) {
			m := decode(t, two+` functions { name: "F" domain: "f" input: "a" output: "d" opset_import { version: 17 } node { op_type: "Elu" input: "a" output: "d" } }`)
			c.damage(m)
			_, err := onnx.Encode(m)
			require.ErrorContains(t, err, c.want)
			require.ErrorIs(t, err, onnx.ErrInvalid)
			require.Error(t, m.Write(&bytes.Buffer{}))
		})
	}
	m := decode(t, everything)
	m.Training[0].Initialization.Nodes[0].Opset = 1
	_, err := onnx.Encode(m)
	require.ErrorContains(t, err, `training_info 0: initialization: graph "init": node 0`)
	m = decode(t, everything)
	m.Training[0].Algorithm.Nodes[0].Opset = 1
	_, err = onnx.Encode(m)
	require.ErrorContains(t, err, `training_info 0: algorithm: graph "alg": node 0`)
}

// What is written imports each domain that its nodes are of, where what was read
// did not.
func TestEncodeImports(t *testing.T) {
	m := decode(t, graph(`node { op_type: "If" input: "x" output: "y" attribute { name: "then_branch" type: GRAPH g { name: "t"
		node { op_type: "Range" domain: "com.microsoft" output: "t1" } output { name: "t1" } } } }`)+
		` functions { name: "F" domain: "f" input: "a" output: "d" opset_import { version: 17 } node { op_type: "Gelu" domain: "g" input: "a" output: "d" } }`)
	again, err := onnx.Decode(encode(t, m), onnx.DecodeOptions{})
	require.NoError(t, err)
	assert.Equal(t, map[string]int{"": 17, "com.microsoft": 1}, again.Opsets)
	assert.Equal(t, map[string]int{"": 17, "g": 1}, again.Functions[0].Opsets)
	assert.NotContains(t, m.Opsets, "com.microsoft")
}

func TestEncodeDetails(t *testing.T) {
	m := decode(t, `ir_version: 3 opset_import { version: 8 } graph { name: "g" `+relu+` input { name: "x" `+float+` } output { name: "y" `+float+` } }`)
	n := m.Graph.NewNode("Add", nil, []*onnx.Value{m.Graph.Outputs[0], m.Graph.NewConst("w", tensor.Scalar[float32](1))}, 1)
	m.Graph.Insert(nil, n)
	again, err := onnx.Decode(encode(t, m), onnx.DecodeOptions{})
	require.NoError(t, err)
	assert.EqualValues(t, 4, again.IRVersion, "older versions want all initializers to be inputs")
	assert.EqualValues(t, 3, m.IRVersion)

	m = decode(t, graph(relu))
	m.Graph.Inputs[0].Const = tensor.Of([]float32{1}) // a default that is not listed
	again, err = onnx.Decode(encode(t, m), onnx.DecodeOptions{})
	require.NoError(t, err)
	assert.NotNil(t, again.Graph.Inputs[0].Const)

	var b bytes.Buffer
	require.NoError(t, m.Write(&b))
	assert.Equal(t, encode(t, m), b.Bytes())
	require.Error(t, m.Write(fullDisk{}))

	m.Graph.Inputs[0].Type = onnx.Type{Kind: onnx.OpaqueKind, Opaque: "a.b.c"} // as built in code
	again, err = onnx.Decode(encode(t, m), onnx.DecodeOptions{})
	require.NoError(t, err)
	assert.Equal(t, "a.b.c", again.Graph.Inputs[0].Type.Opaque)
}

func encode(t testing.TB, m *onnx.Model) []byte {
	t.Helper()
	b, err := onnx.Encode(m)
	require.NoError(t, err)
	return b
}

// bigModel has a small, two large and a shared initializer.
func bigModel(t *testing.T) *onnx.Model {
	m := decode(t, graph(relu+`initializer { name: "s" dims: 1 data_type: 1 float_data: 7 }
		initializer { name: "str" dims: 300 data_type: 8 `+repeat(`string_data: "many bytes" `, 300)+`}`))
	m.Path = ""
	a, b := tensor.New(tensor.Float32, 3000), tensor.New(tensor.Float32, 1<<19)
	for i := range 3000 {
		tensor.Data[float32](a)[i] = float32(i)
	}
	tensor.Data[float32](b)[1<<19-1] = 5
	m.Graph.AddConst(m.Graph.NewConst("a", a))
	m.Graph.AddConst(m.Graph.NewConst("b", b))
	m.Graph.AddConst(m.Graph.NewConst("c", a))
	return m
}

func equalConsts(t *testing.T, want, got *onnx.Model) {
	t.Helper()
	require.Len(t, got.Graph.Consts, len(want.Graph.Consts))
	for i, v := range want.Graph.Consts {
		w := got.Graph.Consts[i]
		assert.Equal(t, v.Name, w.Name)
		same(t, v.Const, w.Const, v.Name)
	}
}

func TestSave(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	m := bigModel(t)
	require.NoError(t, onnx.Save(m, path, onnx.SaveOptions{}))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no second file and nothing left over")

	require.NoError(t, onnx.Save(m, path, onnx.SaveOptions{External: 1000}))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(8000))
	data, err := os.Stat(path + ".data")
	require.NoError(t, err)
	assert.EqualValues(t, 65536+2<<20, data.Size(), "a at 0 and once, b at a multiple of 64 KiB")
	for _, o := range []onnx.DecodeOptions{{}, {NoMmap: true}} {
		got, err := onnx.Open(path, o)
		require.NoError(t, err)
		equalConsts(t, m, got)
		assert.Empty(t, onnx.Check(got))
		require.NoError(t, got.Close())
	}

	// over the file that is mapped
	got, err := onnx.Open(path, onnx.DecodeOptions{})
	require.NoError(t, err)
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, onnx.Save(got, path, onnx.SaveOptions{External: 1000, ExternalName: "w.bin"}))
	equalConsts(t, m, got)
	require.NoError(t, got.Close())
	require.NoError(t, os.Remove(path+".data"))
	got, err = onnx.Open(path, onnx.DecodeOptions{})
	require.NoError(t, err)
	equalConsts(t, m, got)
	require.NoError(t, got.Close())
	info, err = os.Stat(path)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm(), "a file keeps its mode")

	require.ErrorContains(t, onnx.Save(m, path, onnx.SaveOptions{External: 1, ExternalName: "../w"}), "leads out of the folder")
	require.Error(t, onnx.Save(m, filepath.Join(dir, "none", "m.onnx"), onnx.SaveOptions{}))
	require.Error(t, onnx.Save(m, filepath.Join(dir, "none", "m.onnx"), onnx.SaveOptions{External: 1}))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "d"), 0o700))
	require.Error(t, onnx.Save(m, filepath.Join(dir, "d"), onnx.SaveOptions{}), "a folder is in the way")
	m.Graph.Nodes[0].Opset = 1
	require.Error(t, onnx.Save(m, path, onnx.SaveOptions{}))
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	require.NoError(t, err)
	assert.Empty(t, left, "nothing is left over")
}

func TestExternalData(t *testing.T) {
	model := func(props string) []byte {
		return file(t, graph(relu+`initializer { name: "w" dims: 2 data_type: 1 data_location: EXTERNAL `+props+` }`))
	}
	prop := func(k, v string) string { return `external_data { key: "` + k + `" value: "` + v + `" } ` }
	outside := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(outside, "secret"), make([]byte, 8), 0o600))
	dir := t.TempDir()
	require.NoError(t, os.Symlink(filepath.Join(outside, "secret"), filepath.Join(dir, "link")))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub", "w"), append(make([]byte, 4), 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40), 0o600))
	require.NoError(t, os.Symlink(filepath.Join("sub", "w"), filepath.Join(dir, "inner")))
	path := filepath.Join(dir, "m.onnx")
	for _, c := range []struct {
		props, want string
	}{
		{prop("location", "sub/w") + prop("offset", "4"), ""},
		{prop("location", "./sub/w") + prop("offset", "4") + prop("length", "8") + prop("checksum", "x"), ""},
		{prop("location", "inner") + prop("offset", "4"), ""},
		{prop("location", "none"), `initializer 0 "w": external data in "none"`},
		{prop("location", "sub"), `is not a regular file`},
		{prop("location", "link"), `path escapes`},
		{prop("location", "../x"), `location "../x" is not inside the model's folder`},
		{prop("location", filepath.Join(outside, "secret")), `is not inside the model's folder`},
		{"", `location "" is not inside`},
		{prop("location", "sub/w") + prop("offset", "5"), `8 bytes at 5 of "sub/w", which has 12`},
		{prop("location", "sub/w") + prop("offset", "-1"), `external data: offset: -1 is negative`},
		{prop("location", "sub/w") + prop("length", "q"), `external data: length`},
		{prop("location", "sub/w") + prop("length", "4"), `external data has length 4, want 8`},
		{prop("location", "sub/w") + prop("offset", "9223372036854775807"), `8 bytes at 9223372036854775807`},
	} {
		require.NoError(t, os.WriteFile(path, model(c.props), 0o600))
		files := fstest.MapFS{"d/m.onnx": {Data: model(c.props)}, "d/sub/w": {Data: append(make([]byte, 4), 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40)}}
		files["d/inner"] = files["d/sub/w"]
		for _, noMmap := range []bool{false, true} {
			m, err := onnx.Open(path, onnx.DecodeOptions{NoMmap: noMmap})
			if c.want != "" {
				require.ErrorContains(t, err, c.want)
				continue
			}
			require.NoError(t, err, c.props)
			assert.Equal(t, []float32{1, 2}, tensor.Data[float32](m.Graph.Consts[0].Const))
			require.NoError(t, m.Close())
		}
		m, err := onnx.OpenFS(files, "d/m.onnx", onnx.DecodeOptions{})
		if c.want != "" {
			require.Error(t, err)
			continue
		}
		require.NoError(t, err, c.props)
		assert.Equal(t, []float32{1, 2}, tensor.Data[float32](m.Graph.Consts[0].Const))
		require.NoError(t, m.Close())
	}
	str := file(t, graph(relu+`initializer { name: "w" dims: 1 data_type: 8 data_location: EXTERNAL `+prop("location", "sub/w")+` }`))
	_, err := onnx.Decode(str, onnx.DecodeOptions{Dir: dir})
	require.ErrorContains(t, err, "external data of strings")
	_, err = onnx.Open(filepath.Join(dir, "none.onnx"), onnx.DecodeOptions{})
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = onnx.OpenFS(os.DirFS(dir), "none.onnx", onnx.DecodeOptions{})
	require.ErrorIs(t, err, os.ErrNotExist)
	m, err := onnx.Decode(model(prop("location", "none")), onnx.DecodeOptions{SkipWeights: true, Dir: dir})
	require.NoError(t, err)
	require.Len(t, onnx.Check(m), 1)
	bad, err := onnx.Decode(model(prop("offset", "x")), onnx.DecodeOptions{SkipWeights: true, Dir: dir})
	require.NoError(t, err)
	require.Len(t, onnx.Check(bad), 1)
}
