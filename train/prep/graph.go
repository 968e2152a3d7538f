package prep

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/data"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/optimize"
	"github.com/gneiss-run/gneiss/tensor"
)

const (
	ml       = "ai.onnx.ml"
	mlOpset  = 3
	irOpset  = 13 // of the graph that makes features to train on: the oldest that is exported
	modelIR  = 8
	batchDim = "batch"
)

// Model returns the preprocessing alone: an input for each column, float32 [batch, 1] or
// string [batch, 1], and the output Input, float32 [batch, F].
func (p *Prep) Model() (*onnx.Model, error) {
	opsets := map[string]int{"": irOpset, ml: mlOpset}
	m := &onnx.Model{IRVersion: modelIR, Opsets: opsets, ProducerName: "gneiss", Graph: onnx.NewGraph("prep", opsets)}
	b := ops.NewBuilder(m.Graph)
	_, out, err := p.build(b, onnx.Name(batchDim))
	if err != nil {
		return nil, err
	}
	out.Name = Input
	b.Insert(nil)
	m.Graph.Outputs = []*onnx.Value{out}
	return m, nil
}

// Attach puts the preprocessing before m, in standard operators: the input called Input,
// float32 [N, F], becomes a result, and an input for each column is what m takes, as Model's.
func (p *Prep) Attach(m *onnx.Model) error {
	g := m.Graph
	at := slices.IndexFunc(g.Inputs, func(v *onnx.Value) bool { return v.Name == Input })
	if at < 0 {
		return fmt.Errorf("prep: the model has no input %q to put the preprocessing before", Input)
	}
	old := g.Inputs[at]
	width := len(p.Features())
	d := old.Type.Dims
	fits := old.Type.DType == tensor.Float32
	if old.Type.Ranked && fits {
		if fits = len(d) == 2; fits {
			n, known := d[1].Size()
			fits = !known || n == width
		}
	}
	if !fits {
		return fmt.Errorf("prep: input %q is %v, the features are float32 [N, %d]", Input, old.Type, width)
	}
	batch := onnx.Name(batchDim)
	if old.Type.Ranked {
		batch = d[0]
	}
	g.Inputs = slices.Delete(g.Inputs, at, at+1)
	old.Name = g.FreshName("model/" + Input)
	for _, c := range p.Columns {
		if err := free(g, c.Name); err != nil {
			return err
		}
	}
	if m.Opsets[ml] == 0 && slices.ContainsFunc(p.Columns, func(c Column) bool { return !c.numeric() }) {
		m.Opsets[ml] = mlOpset
	}
	before := len(g.Inputs)
	b := ops.NewBuilder(g)
	_, out, err := p.build(b, batch)
	if err != nil {
		return err
	}
	g.Inputs = slices.Concat(g.Inputs[before:], g.Inputs[:before])
	g.Replace(old, out)
	return insert(m, b)
}

// insert puts the nodes of b before all others of m, with names.
func insert(m *onnx.Model, b *ops.Builder) error {
	for _, n := range b.Nodes {
		if n.Name == "" {
			n.Name = "prep/" + n.Out[0].Name
		}
	}
	var first *onnx.Node
	if len(m.Graph.Nodes) > 0 {
		first = m.Graph.Nodes[0]
	}
	b.Insert(first)
	if problems := onnx.Check(m); len(problems) > 0 {
		return fmt.Errorf("prep: the checker: %v", problems[0])
	}
	return optimize.Infer(m, optimize.InferOptions{})
}

// free renames a result of g that is called like a column.
func free(g *onnx.Graph, name string) error {
	if slices.ContainsFunc(slices.Concat(g.Inputs, g.Outputs, g.Consts), func(v *onnx.Value) bool { return v.Name == name }) {
		return fmt.Errorf("prep: column %q is called like an input, an output or a parameter of the model: rename it", name)
	}
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			if v != nil && v.Name == name {
				v.Name = g.FreshName("model/" + name)
			}
		}
	}
	return nil
}

// build adds the inputs and nodes.
func (p *Prep) build(b *ops.Builder, batch onnx.Dim) (inputs []*onnx.Value, out *onnx.Value, err error) {
	var parts, numbers, texts []*onnx.Value
	for _, c := range p.Columns {
		d := tensor.String
		if c.numeric() {
			d = tensor.Float32
		}
		v := b.G.AddInput(c.Name, onnx.TensorType(d, batch, onnx.Size(1)))
		if inputs = append(inputs, v); c.numeric() {
			numbers = append(numbers, v)
		} else {
			texts = append(texts, v)
		}
	}
	if len(numbers) > 0 {
		parts = p.numbers(b, numbers)
	}
	at := 0
	var encoded []*onnx.Value
	for i := range p.Columns {
		c := &p.Columns[i]
		if c.numeric() {
			continue
		}
		x := texts[at]
		at++
		if p.indicates(c) {
			ones := slices.Repeat([]int64{1}, len(data.MissingTexts))
			v := label(b, x, data.MissingTexts, ones, 0)
			parts = append(parts, b.Op("Cast", onnx.NewAttrs("to", int64(tensor.Float32)), v))
		}
		encoded = append(encoded, p.category(b, c, x))
	}
	out = join(b, append(parts, encoded...))
	return inputs, out, b.Err()
}

func join(b *ops.Builder, parts []*onnx.Value) *onnx.Value {
	if len(parts) == 1 {
		return b.Op("Identity", nil, parts[0])
	}
	return b.Op("Concat", onnx.NewAttrs("axis", int64(1)), parts...)
}

// numbers makes the features of numbers, and of those that are missing.
func (p *Prep) numbers(b *ops.Builder, in []*onnx.Value) []*onnx.Value {
	row := func(f func(c *Column) float64) *onnx.Value {
		var v []float32
		for i := range p.Columns {
			if c := &p.Columns[i]; c.numeric() {
				v = append(v, float32(f(c)))
			}
		}
		return b.Const(tensor.Of(v, 1, len(v)))
	}
	any := func(f func(c *Column) bool) bool {
		return slices.ContainsFunc(p.Columns, func(c Column) bool { return c.numeric() && f(&c) })
	}
	raw := join(b, in)
	x := raw
	if p.config.Outliers == "clip" {
		x = b.Op("Max", nil, x, row(func(c *Column) float64 { return c.Low }))
		x = b.Op("Min", nil, x, row(func(c *Column) float64 { return c.High }))
	}
	var missing *onnx.Value
	if p.config.Missing != "" && p.config.Missing != Drop {
		// Behind the bounds: a constant may lie outside of them.
		missing = b.Op("IsNaN", nil, raw)
		x = b.Op("Where", nil, missing, row(func(c *Column) float64 { return c.Fill }), x)
	}
	if any(func(c *Column) bool { return c.Offset != 0 }) {
		x = b.Op("Sub", nil, x, row(func(c *Column) float64 { return c.Offset }))
	}
	if any(func(c *Column) bool { return c.Scale != 1 }) {
		x = b.Op("Div", nil, x, row(func(c *Column) float64 { return c.Scale }))
	}
	out := []*onnx.Value{x}
	var which []int64
	i := int64(0)
	for k := range p.Columns {
		if c := &p.Columns[k]; c.numeric() {
			if p.indicates(c) {
				which = append(which, i)
			}
			i++
		}
	}
	if missing != nil && which != nil {
		v := b.Op("Cast", onnx.NewAttrs("to", int64(tensor.Float32)), missing)
		out = append(out, b.Op("Gather", onnx.NewAttrs("axis", int64(1)), v, b.Const(tensor.Of(which, len(which)))))
	}
	return out
}

// category makes the features of a column of text.
func (p *Prep) category(b *ops.Builder, c *Column, x *onnx.Value) *onnx.Value {
	keys, values := slices.Clone(c.Categories), []int64{}
	for i := range keys {
		values = append(values, int64(i))
	}
	if k := slices.Index(c.Categories, c.FillText); k >= 0 && p.config.Missing != "" && p.config.Missing != Drop {
		for _, text := range data.MissingTexts {
			if !slices.Contains(keys, text) {
				keys, values = append(keys, text), append(values, int64(k))
			}
		}
	}
	n := len(c.Categories)
	v := label(b, x, keys, values, int64(n)) // one that training has not seen is behind the last
	if p.config.Encode == "index" {
		return b.Op("Cast", onnx.NewAttrs("to", int64(tensor.Float32)), v)
	}
	v = b.Op("Squeeze", nil, v, b.Ints(1))
	v = b.Op("OneHot", onnx.NewAttrs("axis", int64(-1)), v, b.Const(tensor.Of([]int64{int64(n) + 1}, 1)), b.Const(tensor.Of([]float32{0, 1}, 2)))
	return b.Op("Slice", nil, v, b.Ints(0), b.Ints(n), b.Ints(1))
}

// label looks text up.
func label(b *ops.Builder, x *onnx.Value, keys []string, values []int64, other int64) *onnx.Value {
	return b.Ops(ml, "LabelEncoder", onnx.NewAttrs("keys_strings", keys, "values_int64s", values, "default_int64", other), 1, x)[0]
}
