package onnx_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

func TestDecodeScopes(t *testing.T) {
	m := decode(t, head+`graph { name: "main"
		node { op_type: "Add" name: "late" input: "h" input: "w" output: "y" }
		node { op_type: "If" domain: "ai.onnx" input: "c" output: "h"
			attribute { name: "then_branch" type: GRAPH g { name: "t" node { op_type: "Add" input: "x" input: "d" output: "t1" } output { name: "t1" } } }
			attribute { name: "else_branch" type: GRAPH g { name: "e" output { name: "x" } } } }
		initializer { name: "w" dims: 1 data_type: 1 float_data: 2 } initializer { name: "d" dims: 1 data_type: 1 float_data: 3 }
		input { name: "x" `+float+` } input { name: "d" `+float+` } input { name: "c" `+boolean+` }
		output { name: "y" } output { name: "w" } }`)
	g := m.Graph
	require.Len(t, g.Nodes, 2)
	assert.Equal(t, "If", g.Nodes[0].Op, "nodes are put in order")
	assert.Equal(t, "", g.Nodes[0].Domain)
	assert.Equal(t, 17, g.Nodes[0].Opset)
	x, d, w := g.Inputs[0], g.Inputs[1], g.Consts[0]
	assert.Len(t, g.Consts, 2)
	assert.Same(t, d, g.Consts[1], "an input with a default is one value")
	assert.NotNil(t, d.Const)
	assert.Equal(t, onnx.Name("N"), d.Type.Dims[0], "the declared type of an input stays")
	assert.Equal(t, onnx.TensorType(tensor.Float32, onnx.Size(1)), w.Type)
	assert.Same(t, w, g.Outputs[1])
	bodies := g.Nodes[0].Bodies()
	assert.Same(t, x, bodies[0].Nodes[0].In[0], "a body reads values around it directly")
	assert.Same(t, d, bodies[0].Nodes[0].In[1])
	assert.Same(t, x, bodies[1].Outputs[0])
	assert.Same(t, g, bodies[0].Outer)
	assert.Equal(t, 2, x.Uses())
	assert.Same(t, g.Nodes[0], g.Nodes[1].In[0].From)
	require.NoError(t, g.Check())

	m = decode(t, `graph { name: "g" node { op_type: "A" domain: "d" input: "x" output: "y" } node { op_type: "Relu" input: "y" output: "z" }
		input { name: "x" type { tensor_type { elem_type: 1 shape { dim { dim_value: -1 } } } } } output { name: "z" } }`)
	assert.Equal(t, 1, m.Graph.Nodes[0].Opset, "without an import")
	assert.Equal(t, 1, m.Graph.Nodes[1].Opset)
	assert.Equal(t, []onnx.Dim{{}}, m.Graph.Inputs[0].Type.Dims, "-1 is unknown")
}

func TestDecodeOldAttributes(t *testing.T) {
	m := decode(t, graph(`node { op_type: "A" input: "x" output: "y" attribute { name: "f" f: 1 } attribute { name: "i" i: 2 } attribute { name: "s" s: "t" }
		attribute { name: "fs" floats: 1 } attribute { name: "is" ints: 2 } attribute { name: "ss" strings: "u" } attribute { name: "e" } attribute { name: "z" type: FLOAT }
		attribute { name: "es" type: STRINGS } attribute { name: "r" type: GRAPH ref_attr_name: "q" } }`))
	want := map[string]any{"f": float32(1), "i": int64(2), "s": "t", "fs": []float32{1}, "is": []int64{2}, "ss": []string{"u"},
		"e": []int64{}, "z": float32(0), "es": []string{}, "r": (*onnx.Graph)(nil)}
	for _, a := range m.Graph.Nodes[0].Attrs {
		assert.Equal(t, want[a.Name], a.Value, a.Name)
	}
}

func TestDecodeErrors(t *testing.T) {
	value := func(s string) string {
		return graph(`node { op_type: "Relu" input: "x" output: "y" } initializer { name: "w" ` + s + ` }`)
	}
	attr := func(s string) string {
		return graph(`node { op_type: "Relu" name: "r" input: "x" output: "y" attribute { ` + s + ` } }`)
	}
	for name, c := range map[string]struct{ model, want string }{
		"no graph":     {head, `m.onnx: ModelProto has no graph`},
		"undefined":    {graph(`node { op_type: "Relu" name: "r" input: "q" output: "y" }`), `m.onnx: graph "main": node 0 (Relu "r"): input 0: nothing is called "q"`},
		"output":       {graph(``), `graph "main": output 0: nothing is called "y"`},
		"no op":        {graph(`node { input: "x" output: "y" }`), `graph "main": node 0 ( of "y"): no op_type`},
		"twice":        {graph(relu + relu), `node 1 (Relu "r"): output 0: name "y" is defined twice`},
		"inputs":       {graph(relu + `input { name: "x" }`), `input 1: name "x" is defined twice`},
		"no name":      {graph(relu + `input { }`), `input 0 has no name`},
		"initializers": {value(`data_type: 1 float_data: 1 } initializer { name: "w" data_type: 1 float_data: 1`), `initializer 1: name "w" is defined twice`},
		"no init name": {graph(relu + `initializer { data_type: 1 float_data: 1 }`), `initializer 0: an initializer has no name`},
		"cycle":        {graph(`node { op_type: "Add" input: "x" input: "b" output: "a" } node { op_type: "Add" input: "a" input: "x" output: "b" } ` + relu), `has a cycle through`},
		"self":         {graph(`node { op_type: "Add" input: "x" input: "y" output: "y" }`), `has a cycle through`},
		"imports":      {head + `opset_import { domain: "ai.onnx" version: 18 } graph { }`, `domain "" is imported with versions 17 and 18`},
		"version":      {`opset_import { version: -1 } graph { }`, `version of domain "" is -1`},
		"body":         {attr(`name: "body" type: GRAPH g { name: "b" node { op_type: "Neg" input: "zz" output: "t" } }`), `node 0 (Relu "r"): attribute "body": graph "b": node 0 (Neg of "t"): input 0: nothing is called "zz"`},
		"function":     {graph(relu) + ` functions { name: "F" domain: "f" output: "o" }`, `function "f.F": output 0: nothing is called "o"`},
		"function in":  {graph(relu) + ` functions { name: "F" input: "o" input: "o" }`, `function "F": name "o" is defined twice`},
		"training":     {graph(relu) + ` training_info { algorithm { name: "a" output { name: "o" } } }`, `training_info 0: algorithm: graph "a": output 0`},
		"training 2":   {graph(relu) + ` training_info { initialization { name: "a" output { name: "y" } } }`, `training_info 0: initialization: graph "a": output 0`},

		"attribute name":  {attr(`i: 1`), `an attribute has no name`},
		"attribute twice": {attr(`name: "a" i: 1 } attribute { name: "a" i: 1`), `attribute "a" is given twice`},
		"two values":      {attr(`name: "a" i: 1 f: 2`), `sets values of type FLOAT and INT`},
		"other value":     {attr(`name: "a" type: INTS i: 1`), `attribute "a": a value of type INT in an attribute of type INTS`},
		"no value":        {attr(`name: "a" type: TENSOR`), `attribute "a": no value of type TENSOR`},
		"attr tensor":     {attr(`name: "a" t { data_type: 1 }`), `attribute "a": float_data has 0 values for float32 [], want 1`},
		"attr tensors":    {attr(`name: "a" type: TENSORS tensors { data_type: 1 }`), `attribute "a": tensor 0: float_data has 0 values`},
		"attr sparse":     {attr(`name: "a" type: SPARSE_TENSOR sparse_tensor { }`), `attribute "a": values: data_type is undefined`},
		"attr sparses":    {attr(`name: "a" type: SPARSE_TENSORS sparse_tensors { }`), `attribute "a": sparse tensor 0: values`},
		"attr graphs":     {attr(`name: "a" type: GRAPHS graphs { name: "b" output { name: "q" } }`), `attribute "a": graph "b": output 0`},

		"type":         {value(`data_type: 0`), `initializer 0 "w": data_type is undefined`},
		"float6":       {value(`data_type: 27 dims: 1 raw_data: "a"`), `data_type is DType(27)`},
		"negative dim": {value(`data_type: 1 dims: -1`), `dims are [-1]`},
		"huge":         {value(`data_type: 1 dims: 4611686018427387904 dims: 4`), `overflows`},
		"large":        {value(`data_type: 1 dims: 100000000`), `float_data has 0 values for float32 [100000000], want 100000000`},
		"raw":          {value(`data_type: 1 dims: 2 raw_data: "1234567"`), `raw_data has 7 bytes for float32 [2], want 8`},
		"wrong field":  {value(`data_type: 1 dims: 1 int32_data: 1`), `int32_data in a tensor of type float32`},
		"both":         {value(`data_type: 1 dims: 1 float_data: 1 raw_data: "1234"`), `float_data in a tensor of type float32 with raw_data`},
		"strings":      {value(`data_type: 8 dims: 2 string_data: "a"`), `string_data has 1 values for dims [2], want 2`},
		"raw strings":  {value(`data_type: 8 dims: 1 raw_data: "a"`), `raw_data in a tensor of strings`},
		"no strings":   {value(`data_type: 1 dims: 1 string_data: "a"`), `string_data in a tensor of type float32`},
		"range":        {value(`data_type: 3 dims: 2 int32_data: 1 int32_data: 128`), `int32_data: value 128 at 1 is out of range`},
		"range f16":    {value(`data_type: 10 dims: 1 int32_data: 65536`), `out of range`},
		"range u32":    {value(`data_type: 12 dims: 1 uint64_data: 4294967296`), `out of range`},
		"segment":      {value(`data_type: 1 segment { begin: 0 end: 1 }`), `tensors in segments are not supported`},
		"location":     {value(`data_type: 1 data_location: EXTERNAL external_data { key: "location" value: "w.bin" }`), `initializer 0 "w": external data in "w.bin": external data, but no folder to read it from`},
		"rank":         {value(`data_type: 1 ` + repeat(`dims: 1 `, 65)), `rank of a tensor is 65, limit is 64`},
		"sparse":       {graph(relu + `sparse_initializer { values { name: "s" dims: 1 data_type: 1 float_data: 1 } indices { dims: 1 data_type: 7 int64_data: 4 } dims: 4 }`), `sparse initializer 0 "s": index 4 at 0 is not in shape [4]`},
		"sparse 2":     {graph(relu + `sparse_initializer { values { name: "s" dims: 1 data_type: 1 float_data: 1 } indices { dims: 1 dims: 2 data_type: 7 int64_data: 0 int64_data: 2 } dims: 4 dims: 2 }`), `index 2 at 1 is not in shape [4 2]`},
		"sparse 3":     {graph(relu + `sparse_initializer { values { name: "s" dims: 1 data_type: 1 float_data: 1 } indices { dims: 2 data_type: 7 int64_data: 0 int64_data: 2 } dims: 4 }`), `indices have shape [2], want [1] or [1 1]`},
		"sparse 4":     {graph(relu + `sparse_initializer { values { name: "s" dims: 1 data_type: 1 float_data: 1 } indices { dims: 1 data_type: 6 int32_data: 0 } dims: 4 }`), `indices are int32, want int64`},
		"sparse 5":     {graph(relu + `sparse_initializer { values { name: "s" data_type: 1 float_data: 1 } indices { dims: 1 data_type: 7 int64_data: 0 } dims: 4 }`), `values have shape [], want [nnz]`},
		"sparse 6":     {graph(relu + `sparse_initializer { values { name: "s" dims: 1 data_type: 1 float_data: 1 } indices { dims: 1 data_type: 7 } dims: 4 }`), `indices: int64_data has 0 values`},
		"sparse 7":     {graph(relu + `sparse_initializer { values { name: "s" dims: 1 data_type: 1 float_data: 1 } indices { dims: 1 data_type: 7 int64_data: 0 } dims: -4 }`), `dims are [-4]`},
		"sparse 8":     {graph(relu + `sparse_initializer { values { dims: 1 data_type: 1 float_data: 1 } indices { dims: 1 data_type: 7 int64_data: 0 } dims: 4 }`), `an initializer has no name`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := onnx.Decode(file(t, c.model), onnx.DecodeOptions{Path: "m.onnx"})
			require.ErrorContains(t, err, c.want)
			assert.Contains(t, err.Error(), "onnx: m.onnx: ")
		})
	}
}

func repeat(s string, n int) string {
	out := ""
	for range n {
		out += s
	}
	return out
}

// msg returns a message of fields that are encoded already.
func msg(num protowire.Number, parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
}

func str(num protowire.Number, s string) []byte { return msg(num, []byte(s)) }

func TestDecodeWire(t *testing.T) {
	nested := msg(1, str(4, "Neg"))
	for range 100 { // a graph in a node in a graph …
		nested = msg(1, str(4, "If"), msg(5, str(1, "g"), msg(6, nested)))
	}
	typ := msg(1)
	for range 100 {
		typ = msg(4, msg(1, typ))
	}
	for name, c := range map[string]struct {
		data []byte
		want string
		kind error
	}{
		"empty":        {nil, "onnx: the file is empty", onnx.ErrInvalid},
		"lfs":          {[]byte("version https://git-lfs.github.com/spec/v1\n"), "pointer of Git LFS", onnx.ErrInvalid},
		"text":         {[]byte("{\"a\": 1}"), "ModelProto", onnx.ErrInvalid},
		"cut tag":      {[]byte{0x80}, "ModelProto field tag: unexpected EOF", onnx.ErrInvalid},
		"number":       {[]byte{0xc8, 0xc8, 0xc8, 0xc8, 0x10, 0}, "ModelProto field tag: number 555893897", onnx.ErrInvalid},
		"cut field":    {[]byte{0x3a, 5, 1}, "ModelProto field 7: unexpected EOF", onnx.ErrInvalid},
		"varint":       {[]byte{8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, "ModelProto field 1: variable length integer overflow", onnx.ErrInvalid},
		"length":       {[]byte{0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}, "unexpected EOF", onnx.ErrInvalid},
		"wire type":    {[]byte{0x38, 1}, "ModelProto field 7 has wire type 0, want 2", onnx.ErrInvalid},
		"group":        {[]byte{0x9b, 0x06}, "ModelProto field 99: unexpected EOF", onnx.ErrInvalid},
		"utf-8":        {msg(7, msg(1, str(4, "\xff"))), `NodeProto field 4: name "\xff" is not UTF-8`, onnx.ErrInvalid},
		"deep graph":   {msg(7, nested), "depth of graphs in graphs is 65, limit is 64", onnx.ErrLimit},
		"two types":    {msg(7, msg(11, str(1, "x"), msg(2, msg(1), msg(4)))), `type of "x": TypeProto has values of two kinds`, onnx.ErrInvalid},
		"deep type":    {msg(7, msg(11, str(1, "x"), msg(2, typ))), "depth of types in types is 65, limit is 64", onnx.ErrLimit},
		"packed float": {msg(7, msg(1, str(4, "A"), msg(5, str(1, "a"), str(7, "abc")))), "AttributeProto field 7: 3 bytes of packed floats", onnx.ErrInvalid},
		"packed int":   {msg(7, msg(1, str(4, "A"), msg(5, str(1, "a"), str(8, "\x80")))), "AttributeProto field 8: unexpected EOF", onnx.ErrInvalid},
		"data":         {msg(7, msg(5, str(8, "w"), []byte{0x10, 7, 0x08, 1}, str(7, "\x80"))), "int64_data ends in the middle of a value", onnx.ErrInvalid},
		"float data":   {msg(7, msg(5, str(8, "w"), []byte{0x10, 1, 0x08, 1}, str(4, "abc"))), "float_data has 3 bytes, want a multiple of 4", onnx.ErrInvalid},
		"long varint":  {msg(7, msg(5, str(8, "w"), []byte{0x10, 7, 0x08, 1}, str(7, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))), "variable length integer overflow", onnx.ErrInvalid},
		"prop":         {msg(14, []byte{8, 1}), "StringStringEntryProto field 1 has wire type 0, want 2", onnx.ErrInvalid},
		"location":     {msg(7, msg(5, str(8, "w"), []byte{0x10, 1, 0x70, 2})), "data_location is 2", onnx.ErrInvalid},
		"attr type":    {msg(7, msg(1, str(4, "A"), msg(5, str(1, "a"), []byte{0xa0, 1, 99}))), "type AttributeType(99) is not known", onnx.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := onnx.Decode(c.data, onnx.DecodeOptions{})
			require.ErrorContains(t, err, c.want)
			require.ErrorIs(t, err, c.kind)
		})
	}
	_, err := onnx.Decode(file(t, graph(relu+`node { op_type: "Neg" input: "x" output: "z" }`)), onnx.DecodeOptions{Limits: onnx.Limits{Nodes: 1}})
	require.ErrorContains(t, err, "number of nodes is 2, limit is 1")
	_, err = onnx.Decode(file(t, graph(relu)), onnx.DecodeOptions{Limits: onnx.Limits{Name: 3}})
	require.ErrorContains(t, err, "GraphProto length of a name is 4, limit is 3")
}

// Messages that come in two parts are merged, scalars may be packed or not,
// and unknown fields come back.
func TestDecodeMerged(t *testing.T) {
	data := append(msg(7, str(2, "g"), msg(1, str(4, "Relu"), str(1, "x"), str(2, "y"))), msg(7, msg(11, str(1, "x")))...)
	data = append(data, msg(7, msg(12, str(1, "y")), str(99, "in graph"))...)
	data = append(data, str(100, "in model")...)
	m := roundTrip(t, data)
	assert.Len(t, m.Graph.Nodes, 1)
	assert.Equal(t, str(99, "in graph"), m.Graph.Unknown)
	assert.Equal(t, str(100, "in model"), m.Unknown)
}
