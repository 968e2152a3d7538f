package onnx

import (
	"fmt"
	"math"

	"github.com/gneiss-run/gneiss/tensor"
)

// scope resolves the names of a graph while it is read. Names that it lacks
// are looked up in the graphs around it.
type scope struct {
	g        *Graph
	outer    *scope
	names    map[string]binding
	cur      int  // index of the node that is being resolved
	unsorted bool // a node reads what a later one makes
	function bool // of a function, whose inputs and outputs have their types in value_info
}

type binding struct {
	v    *Value
	node int // index of the producer; -1 for inputs and initializers
}

func newScope(g *Graph, outer *scope) *scope {
	if outer != nil {
		g.Outer = outer.g
	}
	return &scope{g: g, outer: outer, names: map[string]binding{}}
}

func (s *scope) declare(v *Value, node int) error {
	if _, ok := s.names[v.Name]; ok {
		return invalid("name %q is defined twice", v.Name)
	}
	s.names[v.Name] = binding{v, node}
	return nil
}

// lookup finds name in s or around it; an inner definition hides an outer one.
func (s *scope) lookup(name string) *Value {
	for ; s != nil; s = s.outer {
		if b, ok := s.names[name]; ok {
			if b.node >= s.cur {
				s.unsorted = true
			}
			return b.v
		}
	}
	return nil
}

// valueInfo is a ValueInfoProto.
type valueInfo struct {
	name, doc string
	typ       Type
	metadata  []Prop
	unknown   []byte
}

func (d *decoder) valueInfo(b []byte) (valueInfo, error) {
	var vi valueInfo
	var typ merged
	f := d.fields("ValueInfoProto", b)
	for f.next() {
		switch f.num {
		case 1:
			vi.name = f.name()
		case 2:
			typ.add(f)
		case 3:
			vi.doc = f.text()
		case 4:
			vi.metadata = append(vi.metadata, f.prop())
		default:
			vi.unknown = append(vi.unknown, f.raw...)
		}
	}
	if f.err != nil {
		return vi, f.err
	}
	if typ.set {
		t, err := d.typeProto(typ.b, 1)
		if err != nil {
			return vi, fmt.Errorf("type of %q: %w", vi.name, err)
		}
		vi.typ = t
	}
	return vi, nil
}

// describe adds what vi says to v, where v does not know better.
func (v *Value) describe(vi valueInfo) {
	if v.Type.Kind == UnknownKind {
		v.Type = vi.typ
	}
	if v.Doc == "" {
		v.Doc = vi.doc
	}
	if v.Metadata == nil {
		v.Metadata = vi.metadata
	}
	if v.unknown == nil {
		v.unknown = vi.unknown
	}
}

// graph reads a GraphProto nested depth deep. It returns the scope too, for
// graphs that see this one's names.
func (d *decoder) graph(b []byte, outer *scope, opsets map[string]int, depth int) (*Graph, *scope, error) {
	g := &Graph{Opsets: opsets}
	s := newScope(g, outer)
	var nodes, inits, sparse, inputs, outputs, infos, quant [][]byte
	f := d.fields("GraphProto", b)
	for f.next() {
		switch f.num {
		case 1:
			nodes = append(nodes, f.bytes())
		case 2:
			g.Name = f.name()
		case 5:
			inits = append(inits, f.bytes())
		case 10:
			g.Doc = f.text()
		case 11:
			inputs = append(inputs, f.bytes())
		case 12:
			outputs = append(outputs, f.bytes())
		case 13:
			infos = append(infos, f.bytes())
		case 14:
			quant = append(quant, f.bytes())
		case 15:
			sparse = append(sparse, f.bytes())
		case 16:
			g.Metadata = append(g.Metadata, f.prop())
		default:
			g.Unknown = append(g.Unknown, f.raw...)
		}
	}
	err := f.err
	if err == nil && depth > d.lim.Depth {
		err = overLimit("depth of graphs in graphs", depth, d.lim.Depth)
	}
	if err == nil {
		err = d.graphParts(s, nodes, inits, sparse, inputs, outputs, infos, quant, depth)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("graph %q: %w", g.Name, err)
	}
	return g, s, nil
}

func (d *decoder) graphParts(s *scope, nodes, inits, sparse, inputs, outputs, infos, quant [][]byte, depth int) error {
	g := s.g
	for i, b := range inputs {
		vi, err := d.valueInfo(b)
		if err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		if vi.name == "" {
			return invalid("input %d has no name", i)
		}
		v := &Value{Name: vi.name}
		v.describe(vi)
		if err := s.declare(v, -1); err != nil {
			return fmt.Errorf("input %d: %w", i, err)
		}
		g.Inputs = append(g.Inputs, v)
	}
	for i, b := range inits {
		if err := d.initializer(s, b); err != nil {
			return fmt.Errorf("initializer %d%w", i, err)
		}
	}
	for i, b := range sparse {
		sp, info, err := d.sparse(b)
		if err != nil {
			return fmt.Errorf("sparse initializer %d %q: %w", i, info.name, err)
		}
		v, err := s.initializer(info)
		if err != nil {
			return fmt.Errorf("sparse initializer %d: %w", i, err)
		}
		v.Sparse = sp
		if v.Type.Kind == UnknownKind {
			v.Type = TypeOf(sp)
		}
	}
	for i, b := range quant {
		q, err := d.quantAnnotation(b)
		if err != nil {
			return fmt.Errorf("quantization_annotation %d: %w", i, err)
		}
		g.Quantization = append(g.Quantization, q)
	}
	outs := make([]valueInfo, len(outputs))
	for i, b := range outputs {
		var err error
		if outs[i], err = d.valueInfo(b); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	return d.body(s, nodes, outs, infos, depth)
}

// initializer reads a TensorProto and lists it in the graph. Its error begins
// with what follows the initializer's index.
func (d *decoder) initializer(s *scope, b []byte) error {
	rt, err := d.rawTensor(b)
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	v, err := s.initializer(rt.info())
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	if rt.location == 1 && d.o.SkipWeights {
		dims, err := rt.shape(&d.lim)
		if err != nil {
			return fmt.Errorf(" %q: %w", rt.name, err)
		}
		v.init.external = rt.external
		v.init.typ = TensorType(rt.dtype, Sizes(dims...)...)
		if v.Type.Kind == UnknownKind {
			v.Type = v.init.typ
		}
		return nil
	}
	t, err := d.tensorOf(rt)
	if err != nil {
		return fmt.Errorf(" %q: %w", rt.name, err)
	}
	v.Const = t
	if v.Type.Kind == UnknownKind {
		v.Type = TypeOf(t)
	}
	return nil
}

// initializer makes, or finds among the inputs, the value of an initializer.
func (s *scope) initializer(info tensorInfo) (*Value, error) {
	if info.name == "" {
		return nil, invalid("an initializer has no name")
	}
	v := s.names[info.name].v
	switch {
	case v == nil:
		v = &Value{Name: info.name, Doc: info.doc, Metadata: info.metadata}
		s.names[v.Name] = binding{v, -1}
	case v.init != nil:
		return nil, invalid("name %q is defined twice", info.name)
	}
	v.init = &info
	s.g.Consts = append(s.g.Consts, v)
	return v, nil
}

func (d *decoder) quantAnnotation(b []byte) (QuantAnnotation, error) {
	var q QuantAnnotation
	f := d.fields("TensorAnnotation", b)
	for f.next() {
		switch f.num {
		case 1:
			q.Tensor = f.name()
		case 2:
			q.Params = append(q.Params, f.prop())
		}
	}
	return q, f.err
}

// rawNode is a node whose inputs and attributes are not resolved yet.
type rawNode struct {
	n     *Node
	in    []string
	attrs [][]byte
}

// body reads what a graph and a function have in common: nodes, outputs and
// value_info. Inputs and initializers are declared already.
func (d *decoder) body(s *scope, nodes [][]byte, outs []valueInfo, infos [][]byte, depth int) error {
	g := s.g
	if d.nodes += len(nodes); d.nodes > d.lim.Nodes {
		return overLimit("number of nodes", d.nodes, d.lim.Nodes)
	}
	raws := make([]rawNode, len(nodes))
	g.Nodes = make([]*Node, len(nodes))
	for i, b := range nodes {
		r, err := d.node(b, g, s, i)
		if err != nil {
			return fmt.Errorf("node %d%w", i, err)
		}
		raws[i], g.Nodes[i] = r, r.n
	}
	for i, r := range raws {
		s.cur = i
		if err := d.resolve(r, s, depth); err != nil {
			return fmt.Errorf("node %d (%v): %w", i, r.n, err)
		}
	}
	s.cur = len(raws)
	if s.unsorted {
		if err := g.Sort(); err != nil {
			return invalid("%v", err)
		}
	}
	isOutput := make(map[*Value]bool, len(outs))
	for i, vi := range outs {
		v := s.lookup(vi.name)
		if v == nil {
			return invalid("output %d: nothing is called %q", i, vi.name)
		}
		v.describe(vi)
		g.Outputs = append(g.Outputs, v)
		isOutput[v] = true
	}
	for _, v := range g.Inputs {
		isOutput[v] = true
	}
	if s.function {
		clear(isOutput)
	}
	listed := map[string]bool{}
	for i, b := range infos {
		vi, err := d.valueInfo(b)
		if err != nil {
			return fmt.Errorf("value_info %d: %w", i, err)
		}
		v := s.names[vi.name].v
		if v == nil { // of a value that an exporter has optimized away, or of an outer one
			v = &Value{Name: vi.name}
		}
		v.describe(vi)
		if !isOutput[v] && !listed[vi.name] {
			listed[vi.name] = true
			g.Infos = append(g.Infos, v)
		}
	}
	return nil
}

// node reads a NodeProto up to its inputs and attributes, which may use names
// that later nodes define. Its error begins with what follows the node's index.
func (d *decoder) node(b []byte, g *Graph, s *scope, index int) (rawNode, error) {
	n := &Node{Graph: g}
	r := rawNode{n: n}
	f := d.fields("NodeProto", b)
	for f.next() {
		switch f.num {
		case 1:
			r.in = append(r.in, f.name())
		case 2:
			var v *Value
			if name := f.name(); name != "" {
				v = &Value{Name: name, From: n}
			}
			n.Out = append(n.Out, v)
		case 3:
			n.Name = f.name()
		case 4:
			n.Op = f.name()
		case 5:
			r.attrs = append(r.attrs, f.bytes())
		case 6:
			n.Doc = f.text()
		case 7:
			n.Domain = normalDomain(f.name())
		case 8:
			n.Overload = f.name()
		case 9:
			n.Metadata = append(n.Metadata, f.prop())
		case 10: // kept as read
			if err := d.verify("NodeDeviceConfigurationProto", f.bytes(), nodeDeviceConfiguration); err != nil {
				return r, fmt.Errorf(": %w", err)
			}
			n.Unknown = append(n.Unknown, f.raw...)
		default:
			n.Unknown = append(n.Unknown, f.raw...)
		}
	}
	if f.err != nil {
		return r, fmt.Errorf(": %w", f.err)
	}
	if n.Op == "" {
		return r, fmt.Errorf(" (%v): %w", n, invalid("no op_type"))
	}
	n.Opset = 1
	if v, ok := g.Opsets[n.Domain]; ok {
		n.Opset = v
	}
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		if err := s.declare(v, index); err != nil {
			return r, fmt.Errorf(" (%v): output %d: %w", n, i, err)
		}
	}
	return r, nil
}

// resolve reads the inputs and attributes of a node.
func (d *decoder) resolve(r rawNode, s *scope, depth int) error {
	n := r.n
	n.In = make([]*Value, len(r.in))
	for i, name := range r.in {
		if name == "" {
			continue
		}
		v := s.lookup(name)
		if v == nil {
			return invalid("input %d: nothing is called %q", i, name)
		}
		n.In[i] = v
	}
	if len(r.attrs) == 0 {
		return nil
	}
	n.Attrs = make(Attrs, 0, len(r.attrs))
	seen := make(map[string]bool, len(r.attrs))
	for _, b := range r.attrs {
		a, err := d.attr(b, s, depth)
		if err != nil {
			return err
		}
		if seen[a.Name] {
			return invalid("attribute %q is given twice", a.Name)
		}
		seen[a.Name] = true
		n.Attrs = append(n.Attrs, a)
	}
	return nil
}

// typeProto reads a TypeProto nested depth deep.
func (d *decoder) typeProto(b []byte, depth int) (Type, error) {
	var t Type
	if depth > d.lim.Depth {
		return t, overLimit("depth of types in types", depth, d.lim.Depth)
	}
	var value merged
	f := d.fields("TypeProto", b)
	for f.next() {
		kind := UnknownKind
		switch f.num {
		case 1:
			kind = TensorKind
		case 4:
			kind = SequenceKind
		case 5:
			kind = MapKind
		case 6:
			t.Denotation = f.text()
			continue
		case 7:
			kind = OpaqueKind
		case 8:
			kind = SparseKind
		case 9:
			kind = OptionalKind
		default:
			t.more().unknown = append(t.more().unknown, f.raw...)
			continue
		}
		if t.Kind != UnknownKind && kind != t.Kind {
			f.fail("has values of two kinds")
		}
		t.Kind = kind
		value.add(f)
	}
	if f.err != nil {
		return t, f.err
	}
	var elem merged
	var opaqueDomain, opaqueName string
	f = d.fields("TypeProto."+kindNames[t.Kind], value.b)
	for f.next() {
		switch {
		case f.num == 1 && (t.Kind == TensorKind || t.Kind == SparseKind || t.Kind == MapKind):
			t.DType = tensor.DType(f.int32())
		case f.num == 2 && (t.Kind == TensorKind || t.Kind == SparseKind):
			t.Ranked = true
			d.shapeProto(f, &t)
		case f.num == 1 && (t.Kind == SequenceKind || t.Kind == OptionalKind), f.num == 2 && t.Kind == MapKind:
			elem.add(f)
		case f.num == 1 && t.Kind == OpaqueKind:
			opaqueDomain = f.name()
		case f.num == 2 && t.Kind == OpaqueKind:
			opaqueName = f.name()
		}
	}
	if f.err != nil {
		return t, f.err
	}
	if t.Kind == OpaqueKind {
		t.Opaque = opaqueName
		if opaqueDomain != "" {
			t.Opaque = opaqueDomain + "." + opaqueName
			t.more().opaqueDomain = opaqueDomain
		}
	}
	if elem.set {
		e, err := d.typeProto(elem.b, depth+1)
		if err != nil {
			return t, err
		}
		t.Elem = &e
	}
	return t, nil
}

var kindNames = [...]string{"", "Tensor", "SparseTensor", "Sequence", "Optional", "Map", "Opaque"}

// shapeProto reads a TensorShapeProto into t.
func (d *decoder) shapeProto(f *fields, t *Type) {
	s := d.fields("TensorShapeProto", f.bytes())
	for s.next() {
		if s.num != 1 {
			continue
		}
		var dim Dim
		var denotation string
		e := d.fields("TensorShapeProto.Dimension", s.bytes())
		for e.next() {
			switch e.num {
			case 1: // exporters write -1 for a size they do not know
				dim = Dim{}
				if n := e.int(); n >= 0 && n <= math.MaxInt {
					dim = Size(int(n))
				}
			case 2:
				dim = Name(e.name())
			case 3:
				denotation = e.text()
			}
		}
		if s.err == nil {
			s.err = e.err
		}
		if denotation != "" {
			m := t.more()
			m.denotations = append(m.denotations, make([]string, len(t.Dims)-len(m.denotations))...)
			m.denotations = append(m.denotations, denotation)
		}
		t.Dims = append(t.Dims, dim)
		if len(t.Dims) > d.lim.Rank && s.err == nil {
			s.err = overLimit("rank of a type", len(t.Dims), d.lim.Rank)
		}
	}
	if f.err == nil {
		f.err = s.err
	}
}
