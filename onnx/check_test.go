package onnx_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/tensor"
)

const relu = `node { op_type: "Relu" name: "r" input: "x" output: "y" } `

func TestCheck(t *testing.T) {
	const node = `graph "main": node 0 `
	ifNode := func(then, otherwise string) string {
		return graph(`node { op_type: "If" name: "i" input: "c" output: "y"
			attribute { name: "then_branch" type: GRAPH g { name: "t" ` + then + ` } }
			attribute { name: "else_branch" type: GRAPH g { name: "e" ` + otherwise + ` } } }
			input { name: "c" ` + boolean + ` }`)
	}
	good := `node { op_type: "Relu" input: "x" output: "%" } output { name: "%" }`
	branch := func(out string) string { return replaceAll(good, "%", out) }
	for name, c := range map[string]struct {
		model string
		want  []string
	}{
		"good":             {graph(relu), nil},
		"if":               {ifNode(branch("t1"), branch("e1")), nil},
		"no ir version":    {`opset_import { version: 17 } graph { name: "g" }`, []string{"ir_version is missing"}},
		"new ir version":   {`ir_version: 99 opset_import { version: 17 } graph { name: "g" }`, []string{"ir_version is 99, newest known is 14"}},
		"no imports":       {`ir_version: 8 graph { name: "g" }`, []string{"opset_import is empty"}},
		"new opset":        {`ir_version: 8 opset_import { version: 999 } graph { name: "g" }`, []string{`opset 999 of domain "" is newer than the newest known, 28`}},
		"version 0":        {`ir_version: 8 opset_import { version: 0 } graph { name: "g" }`, []string{`domain "" is imported with version 0`}},
		"no graph name":    {head + `graph { }`, []string{`graph "": it has no name`}},
		"unknown operator": {graph(`node { op_type: "Rleu" input: "x" output: "y" }`), []string{node + `(Rleu of "y"): there is no operator "Rleu" in domain ""`}},
		"too new": {graph(`node { op_type: "Gelu" input: "x" output: "y" }`), []string{
			node + `(Gelu of "y"): the operator is new in opset 20, this is 17`}},
		"unknown domain": {graph(`node { op_type: "A" domain: "d" input: "x" output: "y" }`), []string{
			node + `(d.A of "y"): domain "d" is not imported`, node + `(d.A of "y"): nothing defines domain "d"`}},
		"deprecated": {graph(`node { op_type: "Scatter" input: "x" input: "x" input: "x" output: "y" }`), []string{
			node + `(Scatter of "y"): the operator is deprecated since opset 11`}},
		"few inputs":    {graph(`node { op_type: "Add" input: "x" output: "y" }`), []string{node + `(Add of "y"): it has 1 inputs, want at least 2`}},
		"many inputs":   {graph(`node { op_type: "Relu" input: "x" input: "x" output: "y" }`), []string{node + `(Relu of "y"): it has 2 inputs, want at most 1`}},
		"absent input":  {graph(`node { op_type: "Add" input: "" input: "x" output: "y" }`), []string{node + `(Add of "y"): input 0, A, is missing`}},
		"many outputs":  {graph(`node { op_type: "Relu" input: "x" output: "y" output: "z" }`), []string{node + `(Relu of "y"): it has 2 outputs, want at most 1`}},
		"attribute":     {graph(`node { op_type: "Relu" input: "x" output: "y" attribute { name: "a" i: 1 type: INT } }`), []string{node + `(Relu of "y"): the operator has no attribute "a"`}},
		"attribute typ": {graph(`node { op_type: "Elu" input: "x" output: "y" attribute { name: "alpha" i: 1 type: INT } }`), []string{node + `(Elu of "y"): attribute "alpha" is of type INT, want FLOAT`}},
		"no attribute":  {graph(`node { op_type: "Concat" input: "x" output: "y" }`), []string{node + `(Concat of "y"): attribute "axis" is missing`}},
		"type": {graph(`node { op_type: "Not" input: "x" output: "y" }`), []string{
			node + `(Not of "y"): input 0, X, has type tensor(float), want tensor(bool)`, node + `(Not of "y"): output 0, Y, has type tensor(float), want tensor(bool)`}},
		"two types": {graph(`node { op_type: "Add" input: "x" input: "i" output: "y" } input { name: "i" type { tensor_type { elem_type: 7 } } }`), []string{
			node + `(Add of "y"): input 1, B, has type tensor(int64), want tensor(float) as A has`}},
		"no type":     {head + `graph { name: "main" ` + relu + ` input { name: "x" } output { name: "y" type { tensor_type { } } } }`, []string{`graph "main": input or output "x" has no type`, `graph "main": input or output "y" has no element type`}},
		"twice":       {graph(relu + `output { name: "y" }`), []string{`graph "main": output "y" is listed twice`}},
		"hidden":      {ifNode(replaceAll(good, "%", "x1")+`input { name: "c" }`, branch("e1")), []string{node + `(If "i"): graph "then_branch" has 1 inputs, want 0`, node + `(If "i"): graph "t": input "c" hides a value of a graph around this one`}},
		"branch":      {ifNode(branch("t1")+`output { name: "t1" }`, branch("e1")), []string{node + `(If "i"): graph "then_branch" has 2 outputs, want 1`}},
		"initializer": {graph(relu + `initializer { name: "x" dims: 1 data_type: 7 int64_data: 1 }`), []string{`graph "main": initializer "x" has type int64[1], it is declared as float32[N]`}},
		"ir 3": {`ir_version: 3 opset_import { version: 8 } graph { name: "main" ` + relu + ` initializer { name: "x" dims: 1 data_type: 1 float_data: 1 } output { name: "y" ` + float + ` } }`, []string{
			`graph "main": initializer "x" is no input, as ir_version 3 wants`}},
		"ref": {graph(`node { op_type: "Elu" input: "x" output: "y" attribute { name: "alpha" ref_attr_name: "a" type: FLOAT } }`), []string{
			node + `(Elu of "y"): attribute "alpha" refers to the function attribute "a" outside of a function`}},
		"scan": {graph(`node { op_type: "Scan" input: "x" output: "y" attribute { name: "num_scan_inputs" i: 1 type: INT }
			attribute { name: "body" type: GRAPH g { name: "b" input { name: "p" } input { name: "q" } output { name: "p" } } } }`), []string{
			node + `(Scan of "y"): graph "body" has 2 inputs, want 1`}},
		"loop": {graph(`node { op_type: "Loop" input: "" input: "" output: "y"
			attribute { name: "body" type: GRAPH g { name: "b" input { name: "p" } input { name: "q" } output { name: "q" } } } }`), []string{
			node + `(Loop of "y"): graph "body" has 1 outputs, want 2`}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range onnx.Check(decode(t, c.model)) {
				got = append(got, p.Error())
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestCheckFunctions(t *testing.T) {
	fn := func(name, body string) string {
		return ` functions { name: "` + name + `" domain: "f" input: "a" output: "b" opset_import { version: 17 } opset_import { domain: "f" version: 1 } ` + body + ` }`
	}
	model := func(call, fns string) string {
		return `ir_version: 8 opset_import { version: 17 } opset_import { domain: "f" version: 1 } graph { name: "main" node { domain: "f" ` + call + ` input: "x" output: "y" } input { name: "x" ` + float + ` } output { name: "y" ` + float + ` } }` + fns
	}
	elu := `node { op_type: "Elu" input: "a" output: "b" attribute { name: "alpha" ref_attr_name: "alpha" type: FLOAT } }`
	for name, c := range map[string]struct {
		model string
		want  []string
	}{
		"good":    {model(`op_type: "F" attribute { name: "alpha" f: 1 type: FLOAT }`, fn("F", `attribute: "alpha" `+elu)), nil},
		"default": {model(`op_type: "F"`, fn("F", `attribute_proto { name: "alpha" f: 1 type: FLOAT } `+elu)), nil},
		"missing": {model(`op_type: "F" attribute { name: "beta" f: 1 type: FLOAT }`, fn("F", `attribute: "alpha" `+elu)), []string{
			`graph "main": node 0 (f.F of "y"): attribute "alpha" is missing`, `graph "main": node 0 (f.F of "y"): the function has no attribute "beta"`}},
		"ref": {model(`op_type: "F"`, fn("F", elu)), []string{
			`function "f.F": node 0 (Elu of "b"): attribute "alpha" refers to "alpha", which is no attribute of the function`}},
		"declared twice": {model(`op_type: "F" attribute { name: "alpha" f: 1 type: FLOAT }`, fn("F", `attribute: "alpha" attribute: "alpha" `+elu)), []string{
			`function "f.F": attribute "alpha" is declared twice`}},
		"arity": {model(`op_type: "F" input: "x" output: "z"`, fn("F", `node { op_type: "Relu" input: "a" output: "b" }`)), []string{
			`graph "main": node 0 (f.F of "z"): it has 2 inputs, the function takes 1`, `graph "main": node 0 (f.F of "z"): it has 2 outputs, the function gives 1`}},
		"recursion": {model(`op_type: "F"`, fn("F", `node { op_type: "G" domain: "f" input: "a" output: "b" }`)+fn("G", `node { op_type: "F" domain: "f" input: "a" output: "b" }`)), []string{
			`function "f.G": calls "f.F", which calls it again`}},
		"itself": {model(`op_type: "F"`, fn("F", `node { op_type: "F" domain: "f" input: "a" output: "b" }`)), []string{
			`function "f.F": calls "f.F", which calls it again`}},
		"two": {model(`op_type: "F"`, fn("F", `node { op_type: "Relu" input: "a" output: "b" }`)+fn("F", `node { op_type: "Relu" input: "a" output: "b" }`)), []string{
			`function "f.F": it is defined twice`}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, p := range onnx.Check(decode(t, c.model)) {
				got = append(got, p.Error())
			}
			assert.Equal(t, c.want, got)
		})
	}
	old := decode(t, model(`op_type: "F"`, fn("F", `node { op_type: "Relu" input: "a" output: "b" }`)))
	old.IRVersion = 7
	assert.Equal(t, "functions need ir_version 8, it is 7", onnx.Check(old)[0].Error())
}

func TestCheckBuiltByHand(t *testing.T) {
	m := decode(t, graph(relu))
	g := m.Graph
	g.AddConst(&onnx.Value{Name: "w"})
	g.AddConst(&onnx.Value{})
	n := g.NewNode("Relu", nil, g.Inputs, 1)
	n.Opset = 20
	n.Attrs = onnx.Attrs{{Name: "a", Value: int64(1)}, {Name: "a", Value: int64(1)}}
	g.Insert(nil, n)
	g.Outputs = append(g.Outputs, nil)
	var got []string
	for _, p := range onnx.Check(m) {
		got = append(got, p.Error())
	}
	node := `graph "main": node 1 (` + n.String() + "): "
	assert.Equal(t, []string{
		`graph "main": initializer has no name`,
		node + "it means opset 20, 17 is imported",
		node + `the operator has no attribute "a"`, node + `attribute "a" is given twice`, node + `the operator has no attribute "a"`,
		`graph "main": output 1 is missing`,
		`graph "main": initializer "w" has no tensor`, `graph "main": initializer "" has no tensor`,
	}, got)
	assert.Equal(t, "there is no graph", onnx.Check(&onnx.Model{IRVersion: 8, Opsets: map[string]int{"": 17}})[0].Error())
}

func replaceAll(s, old, new string) string { return strings.ReplaceAll(s, old, new) }

func TestGraphCheck(t *testing.T) {
	text := graph(`node { op_type: "Relu" input: "x" output: "a" } node { op_type: "If" input: "c" output: "y"
		attribute { name: "then_branch" type: GRAPH g { name: "t" node { op_type: "Relu" input: "a" output: "t1" } output { name: "t1" } } }
		attribute { name: "else_branch" type: GRAPH g { name: "e" node { op_type: "Relu" input: "a" output: "e1" } output { name: "a" } } } }
		input { name: "c" ` + boolean + ` }`)
	for _, c := range []struct {
		name   string
		want   string
		damage func(g *onnx.Graph)
	}{
		{"good", "", func(g *onnx.Graph) {}},
		{"order", `graph "main": node 0 (If of "y"): graph`, nil},
		{"name", `output 0 "x" is the name of two values`, func(g *onnx.Graph) { g.Nodes[0].Out[0].Name = "x" }},
		{"no name", `output 0 has no name`, func(g *onnx.Graph) { g.Nodes[0].Out[0].Name = "" }},
		{"stranger", `input 0: "q" is not defined here`, func(g *onnx.Graph) { g.Nodes[0].SetInput(0, &onnx.Value{Name: "q"}) }},
		{"producer", `output 0, "a", is not its value`, func(g *onnx.Graph) { g.Nodes[0].Out[0].From = nil }},
		{"uses", `the uses of "x" are not the nodes that read it`, func(g *onnx.Graph) {
			g.Nodes[0].In = append(g.Nodes[0].In, g.Inputs[1])
		}},
		{"owner", `it belongs to another graph`, func(g *onnx.Graph) { g.Nodes[0].Graph = g.Nodes[1].Bodies()[0] }},
		{"outer", `the graph around its body is another one`, func(g *onnx.Graph) { g.Nodes[1].Bodies()[0].Outer = nil }},
		{"output", `output 1 is missing`, func(g *onnx.Graph) { g.Outputs = append(g.Outputs, nil) }},
		{"hidden", `hides a value of a graph around this one`, func(g *onnx.Graph) { g.Nodes[1].Bodies()[0].Nodes[0].Out[0].Name = "c" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := decode(t, text).Graph
			if c.damage == nil {
				g.Nodes[0], g.Nodes[1] = g.Nodes[1], g.Nodes[0]
				require.ErrorContains(t, g.Check(), `"a" is not defined here`)
				return
			}
			c.damage(g)
			if err := g.Check(); c.want == "" {
				require.NoError(t, err)
				for _, b := range g.Nodes[1].Bodies() {
					require.NoError(t, b.Check(), "nested graphs are checked in their place")
				}
			} else {
				require.ErrorContains(t, err, c.want)
				require.ErrorIs(t, err, onnx.ErrInvalid)
			}
		})
	}
	g := decode(t, graph(`node { op_type: "Relu" input: "x" output: "z" } node { op_type: "Relu" input: "z" output: "y" }`)).Graph
	g.Nodes[0], g.Nodes[1] = g.Nodes[1], g.Nodes[0]
	require.ErrorContains(t, g.Check(), `input 0 "z" is read before it is made`)
	g = decode(t, graph(relu)).Graph
	n := g.NewNode("Neg", nil, g.Inputs, 1)
	g.Insert(nil, n)
	g.Nodes = g.Nodes[:1] // cut off instead of removed
	n.Graph = nil
	require.ErrorContains(t, g.Check(), `"x" is said to be read by Neg of`)
}

func TestCheckExternal(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "m.onnx")
	require.NoError(t, os.WriteFile(path, file(t, graph(`node { op_type: "Add" input: "x" input: "w" output: "y" }
		initializer { name: "w" dims: 2 data_type: 1 data_location: EXTERNAL external_data { key: "location" value: "w.bin" } }`)), 0o600))
	m, err := onnx.Open(path, onnx.DecodeOptions{SkipWeights: true})
	require.NoError(t, err)
	w := m.Graph.Consts[0]
	assert.Nil(t, w.Const)
	assert.Equal(t, onnx.TensorType(tensor.Float32, onnx.Size(2)), w.Type)
	p := onnx.Check(m)
	require.Len(t, p, 1)
	assert.Contains(t, p[0].Text, `initializer "w": external data in "w.bin"`)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "w.bin"), make([]byte, 7), 0o600))
	p = onnx.Check(m)
	require.Len(t, p, 1)
	assert.Contains(t, p[0].Text, `8 bytes at 0 of "w.bin", which has 7`)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "w.bin"), make([]byte, 8), 0o600))
	assert.Empty(t, onnx.Check(m))
	require.NoError(t, onnx.Save(m, path, onnx.SaveOptions{}))
	again, err := onnx.Open(path, onnx.DecodeOptions{})
	require.NoError(t, err, "data that was not read stays where it is")
	assert.Equal(t, []float32{0, 0}, tensor.Data[float32](again.Graph.Consts[0].Const))
	require.NoError(t, again.Close())
	require.NoError(t, again.Close())
}
