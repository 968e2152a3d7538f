package onnx_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
)

// everything is a model that has something in every field that package onnx knows.
const everything = `ir_version: 13 producer_name: "p" producer_version: "1" domain: "d" model_version: 3 doc_string: "about\nit"
opset_import { version: 21 } opset_import { domain: "f" version: 1 }
metadata_props { key: "k" value: "v" }
configuration { name: "two" num_devices: 2 device: "a" device: "b" }
graph { name: "main" doc_string: "the graph" metadata_props { key: "gk" value: "gv" }
  node { op_type: "F" domain: "f" overload: "o" name: "call" doc_string: "a call" input: "x" input: "" input: "w" output: "h" output: "" metadata_props { key: "nk" value: "nv" }
    attribute { name: "f" type: FLOAT f: 1.5 doc_string: "an attribute" } attribute { name: "i" type: INT i: -3 } attribute { name: "s" type: STRING s: "text" }
    attribute { name: "fs" type: FLOATS floats: 1 floats: 2 } attribute { name: "is" type: INTS ints: 1 ints: -2 } attribute { name: "ss" type: STRINGS strings: "a" strings: "b" }
    attribute { name: "none" type: INTS }
    attribute { name: "t" type: TENSOR t { name: "tn" doc_string: "td" dims: 2 data_type: 7 int64_data: 5 int64_data: 6 metadata_props { key: "tk" value: "tv" } } }
    attribute { name: "ts" type: TENSORS tensors { data_type: 8 string_data: "s" } }
    attribute { name: "tp" type: TYPE_PROTO tp { map_type { key_type: 8 value_type { tensor_type { elem_type: 1 } } } } }
    attribute { name: "tps" type: TYPE_PROTOS type_protos { opaque_type { domain: "o.p" name: "q" } denotation: "den" } }
    attribute { name: "sp" type: SPARSE_TENSOR sparse_tensor { values { dims: 1 data_type: 1 float_data: 2 } indices { dims: 1 data_type: 7 int64_data: 3 } dims: 4 } }
    attribute { name: "sps" type: SPARSE_TENSORS sparse_tensors { values { dims: 1 data_type: 1 float_data: 2 } indices { dims: 1 dims: 2 data_type: 7 int64_data: 1 int64_data: 1 } dims: 2 dims: 2 } }
    attribute { name: "g" type: GRAPH g { name: "inner" node { op_type: "Neg" input: "x" output: "in" } output { name: "in" } } }
    attribute { name: "gs" type: GRAPHS graphs { name: "first" node { op_type: "Abs" input: "x" output: "ab" } output { name: "ab" } } graphs { name: "second" node { op_type: "Sin" input: "x" output: "si" } output { name: "si" } } }
    device_configurations { configuration_id: "two" pipeline_stage: 1 }
  }
  node { op_type: "Relu" input: "h" output: "y" }
  initializer { name: "w" dims: 3 data_type: 1 float_data: 1 float_data: 2 float_data: 3 doc_string: "weights" metadata_props { key: "wk" value: "wv" } }
  sparse_initializer { values { name: "sw" dims: 1 data_type: 1 float_data: 2 } indices { dims: 1 data_type: 7 int64_data: 3 } dims: 4 }
  input { name: "x" doc_string: "the input" metadata_props { key: "ik" value: "iv" } type { denotation: "IMAGE" tensor_type { elem_type: 1 shape { dim { dim_param: "N" denotation: "DATA_BATCH" } dim { } dim { dim_value: 3 denotation: "C" } } } } }
  input { name: "seq" type { sequence_type { elem_type { optional_type { elem_type { sparse_tensor_type { elem_type: 11 shape { dim { dim_value: 0 } } } } } } } } }
  output { name: "y" type { tensor_type { elem_type: 1 } } }
  value_info { name: "h" type { tensor_type { elem_type: 1 shape { } } } }
  value_info { name: "gone" type { tensor_type { elem_type: 1 } } }
  quantization_annotation { tensor_name: "h" quant_parameter_tensor_names { key: "SCALE_TENSOR" value: "w" } }
}
training_info {
  initialization { name: "init" node { op_type: "RandomNormal" output: "nw" } output { name: "nw" } }
  algorithm { name: "alg" node { op_type: "Add" input: "w" input: "y" output: "w2" } output { name: "w2" } }
  initialization_binding { key: "w" value: "nw" } update_binding { key: "w" value: "w2" }
}
functions { name: "F" domain: "f" overload: "o" doc_string: "a function" input: "a" input: "b" input: "c" output: "d" output: "e" attribute: "i"
  attribute_proto { name: "f" type: FLOAT f: 2 } opset_import { version: 21 } metadata_props { key: "fk" value: "fv" }
  node { op_type: "Elu" input: "a" output: "d" attribute { name: "alpha" type: FLOAT ref_attr_name: "f" } }
  node { op_type: "Cast" input: "a" output: "e" attribute { name: "to" type: INT ref_attr_name: "i" } }
  value_info { name: "d" type { tensor_type { elem_type: 1 } } }
}`

func TestText(t *testing.T) {
	m := decode(t, everything)
	var b strings.Builder
	require.NoError(t, m.Text(&b, onnx.TextOptions{Docs: true, Sums: true, Elements: 2}))
	assert.Equal(t, `model ir_version 13, opset 21, opset f 1, producer "p 1", domain "d" version 3
# about
# it
# k: "v"
graph "main" (x: float32[N,?,3], seq: sequence(optional(sparse float64[0]))) -> (y: float32[...]) {
  # the graph
  # gk: "gv"
  # weights
  # wk: "wv"
  const w: float32[3] = [1 2 ...] crc32c 384de783
  const sw: sparse float32[4] = [2] at [3]
  # a call
  # nk: "nv"
  h: float32[], _ = f.F:o<f=1.5, i=-3, s="text", fs=[1 2], is=[1 -2], ss=["a" "b"], none=[], t=int64[2] [5 6], ts=[string[] "s"], tp=map(string,float32[...]), tps=[opaque(o.p.q)], sp=sparse float32[4] [2] at [3], sps=[sparse float32[2,2] [2] at [1 1]]>(x, _, w)  # "call"
    g: graph "inner" () -> (in) {
      in = Neg(x)
    }
    gs: graph "first" () -> (ab) {
      ab = Abs(x)
    }
    gs: graph "second" () -> (si) {
      si = Sin(x)
    }
  y: float32[...] = Relu(h)
  quantization of h (SCALE_TENSOR = w)
}
function f.F:o(a, b, c) -> (d: float32[...], e), opset 21, attributes i, f=2 {
  # a function
  # fk: "fv"
  d: float32[...] = Elu<alpha=@f>(a)
  e = Cast<to=@i>(a)
}
training initialization (w = nw) update (w = w2)
initialization: graph "init" () -> (nw) {
  nw = RandomNormal()
}
algorithm: graph "alg" () -> (w2) {
  w2 = Add(w, y)
}
`, b.String())

	n := m.Graph.Nodes[0]
	assert.Contains(t, n.Text(), `g=graph "inner", gs=[graph "first" graph "second"]>(x, _, w)`)
	n.Graph.Nodes[1].Opset = 22
	n.Graph.Nodes[1].Out[0].Name = "a b"
	n.Attrs = onnx.Attrs{{Name: "is", Value: make([]int64, 20)}, {Name: "d", Value: (*onnx.Graph)(nil)}}
	b.Reset()
	require.NoError(t, m.Graph.Text(&b, onnx.TextOptions{NoTypes: true, Elements: -1}))
	assert.Equal(t, `graph "main" (x, seq) -> ("a b") {
  const w: float32[3] = [...]
  const sw: sparse float32[4] = [...] at [...]
  h, _ = f.F:o<is=[0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 ... 4 more]>(x, _, w)  # "call"
  "a b" = Relu@22(h)
  quantization of h (SCALE_TENSOR = w)
}
`, b.String())
	require.Error(t, m.Text(fullDisk{}, onnx.TextOptions{}))
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space") }
