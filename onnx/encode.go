package onnx

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/gneiss-run/gneiss/tensor"
	"google.golang.org/protobuf/encoding/protowire"
)

// maxMessage is the largest message that protobuf's readers accept.
const maxMessage = math.MaxInt32

// Encode returns the model as the bytes of a file, with all tensors in it. A
// model of more than 2 GiB has no such form: use Save. A node that does not
// mean the operator version that the model declares is an error, and so is a
// value that a reader would not find by its name.
func Encode(m *Model) ([]byte, error) {
	r, err := encodeModel(m, nil)
	if err != nil {
		return nil, err
	}
	return r.join(), nil
}

// Write writes the model to w as Encode does. The data of tensors is not
// copied, so it needs little memory besides the model.
func (m *Model) Write(w io.Writer) error {
	r, err := encodeModel(m, nil)
	if err != nil {
		return err
	}
	_, err = r.WriteTo(w)
	return err
}

func encodeModel(m *Model, ext *externalWriter) (*rope, error) {
	e := &encoder{m: m, ext: ext, implied: map[string]int{}}
	r, err := e.model()
	if err == nil && r.size > maxMessage {
		err = overLimit("size of the file without external data", r.size, maxMessage)
	}
	if err != nil {
		if m.Path != "" {
			return nil, fmt.Errorf("onnx: %s: %w", m.Path, err)
		}
		return nil, fmt.Errorf("onnx: %w", err)
	}
	return r, nil
}

type encoder struct {
	m   *Model
	ext *externalWriter
	// implied are the domains that nodes are of and nobody imports: files have
	// such nodes of domains that every runtime knows.
	implied map[string]int
}

// names are the values that a name means where a node is written.
type names struct {
	outer *names
	m     map[string]*Value
}

func (s *names) lookup(name string) *Value {
	for ; s != nil; s = s.outer {
		if v, ok := s.m[name]; ok {
			return v
		}
	}
	return nil
}

func (s *names) declare(v *Value) error {
	if v.Name == "" {
		return invalid("a value has no name")
	}
	if old, ok := s.m[v.Name]; ok && old != v {
		return invalid("two values are called %q", v.Name)
	}
	s.m[v.Name] = v
	return nil
}

// visible makes sure that a reader finds v under its name.
func (s *names) visible(v *Value) error {
	switch w := s.lookup(v.Name); {
	case w == v:
		return nil
	case w == nil:
		return invalid("%q is not defined here", v.Name)
	}
	return invalid("%q means another value here", v.Name)
}

func (e *encoder) model() (*rope, error) {
	m, r := e.m, &rope{}
	if m.Graph == nil {
		return nil, invalid("the model has no graph")
	}
	ir := m.IRVersion
	if ir > 0 && ir < 4 && slices.ContainsFunc(m.Graph.Consts, func(v *Value) bool { return !slices.Contains(m.Graph.Inputs, v) }) {
		ir = 4 // before, every initializer had to be an input
	}
	r.optInt(1, ir)
	r.optText(2, m.ProducerName)
	r.optText(3, m.ProducerVersion)
	r.optText(4, m.Domain)
	r.optInt(5, m.ModelVersion)
	r.optText(6, m.Doc)
	main := &names{m: map[string]*Value{}}
	g, err := e.graph(m.Graph, main, m.Opsets)
	if err != nil {
		return nil, err
	}
	r.message(7, g)
	encodeOpsets(r, 8, m.Opsets)
	r.props(14, m.Metadata)
	for i, t := range m.Training {
		c, err := e.training(t, main)
		if err != nil {
			return nil, fmt.Errorf("training_info %d: %w", i, err)
		}
		r.message(20, c)
	}
	encodeOpsets(r, 8, e.implied)
	for _, f := range m.Functions {
		e.implied = map[string]int{}
		c, err := e.function(f)
		if err != nil {
			return nil, fmt.Errorf("function %q: %w", f.qualified(), err)
		}
		r.message(25, c)
	}
	for _, b := range m.Configurations {
		r.bytes(26, b)
	}
	r.raw(m.Unknown)
	return r, nil
}

func encodeOpsets(r *rope, num protowire.Number, opsets map[string]int) {
	for _, domain := range slices.Sorted(maps.Keys(opsets)) {
		var c rope
		c.text(1, domain)
		c.int(2, int64(opsets[domain]))
		r.message(num, &c)
	}
}

func (e *encoder) training(t *Training, main *names) (*rope, error) {
	r := &rope{}
	if t.Initialization != nil {
		g, err := e.graph(t.Initialization, &names{m: map[string]*Value{}}, e.m.Opsets)
		if err != nil {
			return nil, fmt.Errorf("initialization: %w", err)
		}
		r.message(1, g)
	}
	if t.Algorithm != nil {
		g, err := e.graph(t.Algorithm, &names{outer: main, m: map[string]*Value{}}, e.m.Opsets)
		if err != nil {
			return nil, fmt.Errorf("algorithm: %w", err)
		}
		r.message(2, g)
	}
	r.props(3, t.InitializationBinding)
	r.props(4, t.UpdateBinding)
	r.raw(t.Unknown)
	return r, nil
}

func (e *encoder) function(f *Function) (*rope, error) {
	r := &rope{}
	r.optText(1, f.Name)
	s := &names{m: map[string]*Value{}}
	for _, v := range f.Graph.Inputs {
		if err := s.declare(v); err != nil {
			return nil, err
		}
		r.text(4, v.Name)
	}
	if len(f.Graph.Consts) > 0 {
		return nil, invalid("initializer %q: a function has none", f.Graph.Consts[0].Name)
	}
	nodes, err := e.nodes(f.Graph, s, f.Opsets)
	if err != nil {
		return nil, err
	}
	for i, v := range f.Graph.Outputs {
		if err := s.visible(v); err != nil {
			return nil, fmt.Errorf("output %d: %w", i, err)
		}
		r.text(5, v.Name)
	}
	for _, a := range f.AttrNames {
		r.text(6, a)
	}
	for _, n := range nodes {
		r.message(7, n)
	}
	r.optText(8, f.Doc)
	encodeOpsets(r, 9, f.Opsets)
	encodeOpsets(r, 9, e.implied)
	r.optText(10, f.Domain)
	for i := range f.AttrDefaults {
		a, err := e.attr(&f.AttrDefaults[i], s, f.Opsets)
		if err != nil {
			return nil, err
		}
		r.message(11, a)
	}
	for _, v := range f.Graph.Infos {
		r.message(12, encodeValueInfo(v))
	}
	r.optText(13, f.Overload)
	r.props(14, f.Metadata)
	r.raw(f.Unknown)
	return r, nil
}

// graph encodes g. s is its own, still empty level of names.
func (e *encoder) graph(g *Graph, s *names, opsets map[string]int) (*rope, error) {
	r, err := e.graphParts(g, s, opsets)
	if err != nil {
		return nil, fmt.Errorf("graph %q: %w", g.Name, err)
	}
	return r, nil
}

func (e *encoder) graphParts(g *Graph, s *names, opsets map[string]int) (*rope, error) {
	r := &rope{}
	for i, v := range g.Inputs {
		if s.m[v.Name] != nil {
			return nil, fmt.Errorf("input %d: %w", i, invalid("%q is defined twice", v.Name))
		}
		if err := s.declare(v); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
	}
	consts := g.Consts
	for _, v := range g.Inputs {
		if (v.Const != nil || v.Sparse != nil) && !slices.Contains(g.Consts, v) {
			consts = append(slices.Clip(consts), v)
		}
	}
	for _, v := range consts {
		if err := s.declare(v); err != nil {
			return nil, fmt.Errorf("initializer: %w", err)
		}
	}
	nodes, err := e.nodes(g, s, opsets)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		r.message(1, n)
	}
	r.optText(2, g.Name)
	inputs := make(map[*Value]bool, len(g.Inputs)+len(g.Infos))
	for _, v := range slices.Concat(g.Inputs, g.Infos) {
		inputs[v] = true
	}
	for _, v := range consts {
		if v.Sparse != nil {
			continue
		}
		c, err := e.initializer(v, inputs[v])
		if err != nil {
			return nil, fmt.Errorf("initializer %q: %w", v.Name, err)
		}
		r.message(5, c)
	}
	r.optText(10, g.Doc)
	for _, v := range g.Inputs {
		r.message(11, encodeValueInfo(v))
	}
	for i, v := range g.Outputs {
		if err := s.visible(v); err != nil {
			return nil, fmt.Errorf("output %d: %w", i, err)
		}
		r.message(12, encodeValueInfo(v))
	}
	for _, v := range g.Infos {
		r.message(13, encodeValueInfo(v))
	}
	for _, q := range g.Quantization {
		var c rope
		c.optText(1, q.Tensor)
		c.props(2, q.Params)
		r.message(14, &c)
	}
	for _, v := range consts {
		if v.Sparse != nil {
			r.message(15, encodeSparse(v.Sparse, v.tensorInfo(v.Sparse, inputs[v])))
		}
	}
	r.props(16, g.Metadata)
	r.raw(g.Unknown)
	return r, nil
}

// tensorInfo returns what to write about the initializer v besides its data.
func (v *Value) tensorInfo(x any, described bool) tensorInfo {
	i := tensorInfo{tensor: x}
	if v.init != nil {
		i = *v.init
	} else if !described {
		i.doc, i.metadata = v.Doc, v.Metadata
	}
	i.name = v.Name
	return i
}

func (e *encoder) initializer(v *Value, described bool) (*rope, error) {
	info := v.tensorInfo(v.Const, described)
	if v.Const == nil {
		if len(info.external) == 0 {
			return nil, invalid("it has no tensor")
		}
		dims, _ := info.typ.Static()
		return encodeTensor(info.typ.DType, dims, nil, info), nil
	}
	info.external = nil
	if e.ext != nil {
		info.external = e.ext.place(v.Const)
	}
	return encodeTensor(v.Const.DType(), v.Const.Shape(), v.Const, info), nil
}

// nodes encodes the nodes of g in order; each sees what was made before it.
func (e *encoder) nodes(g *Graph, s *names, opsets map[string]int) ([]*rope, error) {
	rs := make([]*rope, len(g.Nodes))
	for i, n := range g.Nodes {
		r, err := e.node(n, s, opsets)
		if err != nil {
			return nil, fmt.Errorf("node %d (%v): %w", i, n, err)
		}
		rs[i] = r
	}
	return rs, nil
}

func (e *encoder) node(n *Node, s *names, opsets map[string]int) (*rope, error) {
	version, ok := opsets[n.Domain]
	switch {
	case !ok && e.m.IRVersion >= 3 && (n.Domain == "" || n.Opset != 1):
		return nil, invalid("the model does not import domain %q", n.Domain)
	case !ok && e.m.IRVersion >= 3:
		e.implied[n.Domain] = n.Opset
	case ok && version != n.Opset:
		return nil, invalid("it means opset %d of domain %q, the model declares %d", n.Opset, n.Domain, version)
	}
	r := &rope{}
	for i, v := range n.In {
		if v == nil {
			r.text(1, "")
			continue
		}
		if err := s.visible(v); err != nil {
			return nil, fmt.Errorf("input %d: %w", i, err)
		}
		r.text(1, v.Name)
	}
	for _, v := range n.Out {
		if v == nil {
			r.text(2, "")
			continue
		}
		r.text(2, v.Name)
	}
	r.optText(3, n.Name)
	r.text(4, n.Op)
	for i := range n.Attrs {
		a, err := e.attr(&n.Attrs[i], s, opsets)
		if err != nil {
			return nil, err
		}
		r.message(5, a)
	}
	r.optText(6, n.Doc)
	r.optText(7, n.Domain)
	r.optText(8, n.Overload)
	r.props(9, n.Metadata)
	r.raw(n.Unknown)
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		if s.m[v.Name] != nil {
			return nil, fmt.Errorf("output %d: %w", i, invalid("%q is defined twice", v.Name))
		}
		if err := s.declare(v); err != nil {
			return nil, fmt.Errorf("output %d: %w", i, err)
		}
	}
	return r, nil
}

func (e *encoder) attr(a *Attr, s *names, opsets map[string]int) (*rope, error) {
	r := &rope{}
	r.text(1, a.Name)
	t, err := e.attrValue(r, a, s, opsets)
	if err != nil {
		return nil, fmt.Errorf("attribute %q: %w", a.Name, err)
	}
	r.optText(13, a.Doc)
	r.int(20, int64(t))
	r.optText(21, a.Ref)
	r.raw(a.Unknown)
	return r, nil
}

// attrValue writes the value of a, unless a only refers to one.
func (e *encoder) attrValue(r *rope, a *Attr, s *names, opsets map[string]int) (attrType, error) {
	t := attrTypeOf(a.Value)
	if a.Ref != "" {
		return t, nil
	}
	info := func(i int, x any) tensorInfo {
		if i < len(a.tensors) && a.tensors[i].tensor == x {
			return a.tensors[i]
		}
		return tensorInfo{}
	}
	one := func(x *tensor.Tensor, i int, num protowire.Number) error {
		if x == nil {
			return invalid("no tensor")
		}
		r.message(num, encodeTensor(x.DType(), x.Shape(), x, info(i, x)))
		return nil
	}
	sparse := func(x *tensor.Sparse, i int, num protowire.Number) error {
		if x == nil {
			return invalid("no sparse tensor")
		}
		r.message(num, encodeSparse(x, info(i, x)))
		return nil
	}
	graph := func(g *Graph, num protowire.Number) error {
		if g == nil {
			return invalid("no graph")
		}
		c, err := e.graph(g, &names{outer: s, m: map[string]*Value{}}, opsets)
		if err == nil {
			r.message(num, c)
		}
		return err
	}
	switch v := a.Value.(type) {
	case float32:
		r.float(2, v)
	case int64:
		r.int(3, v)
	case string:
		r.text(4, v)
	case *tensor.Tensor:
		return t, one(v, 0, 5)
	case *Graph:
		return t, graph(v, 6)
	case []float32:
		for _, x := range v {
			r.float(7, x)
		}
	case []int64:
		for _, x := range v {
			r.int(8, x)
		}
	case []string:
		for _, x := range v {
			r.text(9, x)
		}
	case []*tensor.Tensor:
		for i, x := range v {
			if err := one(x, i, 10); err != nil {
				return t, err
			}
		}
	case []*Graph:
		for _, g := range v {
			if err := graph(g, 11); err != nil {
				return t, err
			}
		}
	case Type:
		r.message(14, encodeType(v))
	case []Type:
		for _, x := range v {
			r.message(15, encodeType(x))
		}
	case *tensor.Sparse:
		return t, sparse(v, 0, 22)
	case []*tensor.Sparse:
		for i, x := range v {
			if err := sparse(x, i, 23); err != nil {
				return t, err
			}
		}
	default:
		return t, invalid("a value of type %T", a.Value)
	}
	return t, nil
}

func attrTypeOf(v any) attrType {
	switch v.(type) {
	case float32:
		return attrFloat
	case int64:
		return attrInt
	case string:
		return attrString
	case *tensor.Tensor:
		return attrTensor
	case *Graph:
		return attrGraph
	case []float32:
		return attrFloats
	case []int64:
		return attrInts
	case []string:
		return attrStrings
	case []*tensor.Tensor:
		return attrTensors
	case []*Graph:
		return attrGraphs
	case *tensor.Sparse:
		return attrSparse
	case []*tensor.Sparse:
		return attrSparseTensors
	case Type:
		return attrTypeProto
	case []Type:
		return attrTypeProtos
	}
	return attrUndefined
}
