package quantize

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// plan is what Static decided about a graph, before anything is written.
type plan struct {
	g             *onnx.Graph
	ranges        Ranges // nil: every value has one
	c             StaticConfig
	acts, weights grid
	order         []*onnx.Node // as they were
	names         map[*onnx.Node]string
	nodes         map[*onnx.Node]*decision
	// inner are values between an operator and a Relu, Clip or bias behind it,
	// which are not rounded.
	inner map[*onnx.Value]bool
	// values are those that are kept as integers, in the order of the graph.
	values []*onnx.Value
	isIn   map[*onnx.Value]bool
	parent map[*onnx.Value]*onnx.Value // of values with one scale
	consts map[*onnx.Value]constRange
	inputs map[*onnx.Value]bool // of the graph, which a caller may give
	// transformer says that products with weights alone are quantised.
	transformer bool
	loop        bool    // g is within the body of a Loop or the like, and counts as a transformer, too
	nested      []*plan // of the graphs in nodes of g, outer ones first
	// tail are the nodes behind the last products, which stay in floating point,
	// and floats the products that give floats to them.
	tail, floats map[*onnx.Node]bool
	defaults     *Defaults // inputs that are constants meanwhile
}

// constRange is the range of a constant, which has one if it is finite.
type constRange struct {
	r      Range
	finite bool
}

// decision is what becomes of one node.
type decision struct {
	op     *staticOp
	role   role
	reason string // why it stays; "": it is quantised
	note   string // to append to its format
	acts   []int  // the inputs that it reads as integers
	weight []weightSlot
}

func newPlan(g *onnx.Graph, ranges Ranges, c StaticConfig, acts, weights grid) *plan {
	p := &plan{g: g, ranges: ranges, c: c, acts: acts, weights: weights, order: slices.Clone(g.Nodes), names: map[*onnx.Node]string{}, nodes: map[*onnx.Node]*decision{}, inner: map[*onnx.Value]bool{},
		isIn: map[*onnx.Value]bool{}, parent: map[*onnx.Value]*onnx.Value{}, consts: map[*onnx.Value]constRange{}, inputs: map[*onnx.Value]bool{},
		tail: map[*onnx.Node]bool{}, floats: map[*onnx.Node]bool{}}
	for o := g; o != nil; o = o.Outer {
		for _, v := range o.Inputs {
			p.inputs[v] = true
		}
	}
	return p
}

// decide looks at all nodes in order.
func (p *plan) decide() {
	p.transformer = len(p.c.Selection.Ops) == 0 && (p.loop || p.isTransformer())
	p.findTail()
	for _, n := range p.order {
		d := &decision{op: opOf(n)}
		p.names[n] = NodeName(n)
		p.nodes[n] = d
		if d.reason = p.examine(n, d); d.reason != "" {
			continue
		}
		for _, i := range d.acts {
			p.keep(n.In[i])
		}
		for _, v := range p.results(n, d) {
			if !p.inner[v] {
				p.keep(v)
			}
		}
		if d.role == moves {
			for _, v := range p.results(n, d) {
				p.join(n.In[d.acts[0]], v)
			}
		}
	}
	if p.ranges != nil {
		p.joinAlike()
	}
}

// widest is how much wider a scale may become so that values are joined without
// rounding them again. It costs one bit.
const widest = 2

// joinAlike gives what a node joins one scale, as far as none becomes much wider
// by it: a narrow value beside a wide one would lose its precision for all of its
// readers.
func (p *plan) joinAlike() {
	rs := p.groups()
	for _, n := range p.order {
		d := p.nodes[n]
		if d.role != joins || d.reason != "" {
			continue
		}
		for _, i := range d.acts {
			a, b := p.root(n.Out[0]), p.root(n.In[i])
			u := rs[a].union(rs[b])
			if scale := p.acts.affine(u).scale; a != b && !p.narrower(rs[a], scale) && !p.narrower(rs[b], scale) {
				p.join(a, b)
				rs[a] = u
			}
		}
	}
}

// narrower reports whether scale is much wider than r needs. What is 0 needs none.
func (p *plan) narrower(r Range, scale float32) bool {
	return r != Range{} && scale > widest*p.acts.affine(r).scale
}

// keep notes that v is kept as integers.
func (p *plan) keep(v *onnx.Value) {
	if !p.isIn[v] {
		p.isIn[v] = true
		p.values = append(p.values, v)
	}
}

// root returns the value that stands for all that have v's scale.
func (p *plan) root(v *onnx.Value) *onnx.Value {
	for p.parent[v] != nil {
		v = p.parent[v]
	}
	return v
}

// join gives a and b one scale.
func (p *plan) join(a, b *onnx.Value) {
	if a, b = p.root(a), p.root(b); a != b {
		p.parent[b] = a
	}
}

// results are the outputs of n that are quantised with it.
func (p *plan) results(n *onnx.Node, d *decision) (out []*onnx.Value) {
	if d.role == reads || d.role == stores || p.wide(n, d.op) {
		return nil
	}
	for i, v := range n.Out {
		if v != nil && v.Type.DType == tensor.Float32 && (i == 0 || n.Op == "Split") {
			out = append(out, v)
		}
	}
	return out
}

// quantized reports whether v is rounded by the node that computes it.
func (p *plan) quantized(v *onnx.Value) bool {
	d := p.nodes[v.From]
	return v.From != nil && d != nil && d.reason == "" && d.role != stores && !p.wide(v.From, d.op)
}

// quantizedAlready is why nodes between QuantizeLinear and DequantizeLinear stay.
const quantizedAlready = "it is quantised already"

// dequantized reports whether v, which may be absent, comes from a DequantizeLinear.
func dequantized(v *onnx.Value) bool {
	return v != nil && v.From != nil && v.From.Op == "DequantizeLinear"
}

// constant reports whether v is an initializer that no caller can replace.
func (p *plan) constant(v *onnx.Value) bool { return v.Const != nil && v.From == nil && !p.inputs[v] }

// examine fills d and returns why n cannot be quantised, "" if it can.
func (p *plan) examine(n *onnx.Node, d *decision) string {
	if quantizes(n) || slices.ContainsFunc(n.In, dequantized) {
		return quantizedAlready
	}
	op := d.op
	if op == nil {
		if n.Bodies() != nil {
			return nestedReason
		}
		return "there is no rule to quantise this operator"
	}
	d.role = p.roleOf(n, op)
	if ok, why := p.c.Selection.Allows(n); !ok {
		return why
	}
	if len(n.In) == 0 || len(n.Out) == 0 || n.Out[0] == nil {
		return "it has no output"
	}
	if why := p.spared(n, op); why != "" {
		return why
	}
	if why := p.refuses(n, op); why != "" {
		return why
	}
	if why := p.slots(n, d); why != "" {
		return why
	}
	if why := p.operands(n, d); why != "" {
		return why
	}
	if d.role == reads || d.role == stores {
		return ""
	}
	if t := n.Out[0].Type.DType; t != tensor.Float32 {
		return fmt.Sprintf("its results are %v, not float32", t)
	}
	if d.role == moves || p.inner[n.Out[0]] || p.wide(n, d.op) {
		return ""
	}
	end, why := p.end(n, d)
	if why == "" {
		return ""
	}
	for v := n.Out[0]; v != end; v = v.Users()[0].Out[0] {
		delete(p.inner, v)
	}
	if p.rangeProblem(n.Out[0]) == "" { // it is rounded at once
		return ""
	}
	return why
}

// slots fills in which inputs of n are activations and which are weights.
func (p *plan) slots(n *onnx.Node, d *decision) string {
	d.acts = d.op.acts
	switch {
	case d.role == joins:
		for i := range n.In {
			d.acts = append(d.acts, i)
		}
	case d.acts == nil:
		d.acts = []int{0}
	}
	d.acts = slices.Clone(d.acts)
	if i := p.tableOf(n); i >= 0 {
		d.acts = []int{i}
	}
	for _, s := range d.op.weights {
		if s.input >= len(n.In) || n.In[s.input] == nil {
			continue
		}
		switch {
		case p.constant(n.In[s.input]):
			d.weight = append(d.weight, s)
		case d.op.either:
			d.acts = append(d.acts, s.input)
		default:
			return fmt.Sprintf("its weights %q are not constant", n.In[s.input].Name)
		}
	}
	if slices.ContainsFunc(d.acts, func(i int) bool { return i < len(n.In) && p.inner[n.In[i]] }) {
		d.acts, d.role = nil, computes // a bias that it adds stays as it is
	}
	for _, i := range d.acts {
		if i >= len(n.In) || n.In[i] == nil {
			return fmt.Sprintf("input %d is absent", i)
		}
	}
	return ""
}

// leastStored is how many elements make it worth a node to store weights, which
// are computed with in floating point, as integers.
const leastStored = 256

// operands looks at what n reads.
func (p *plan) operands(n *onnx.Node, d *decision) string {
	constants, integers, floating := 0, 0, 0
	for _, i := range d.acts {
		v := n.In[i]
		if v.Type.DType != tensor.Float32 {
			return fmt.Sprintf("%q is %v, not float32", v.Name, v.Type.DType)
		}
		if p.constant(v) {
			constants++
		}
		switch {
		case p.quantized(v):
			integers++
		case v.From != nil:
			floating++
		}
	}
	switch {
	case len(d.acts) > 0 && constants == len(d.acts) && n.Op != "Gather" && p.tableOf(n) < 0:
		return "it reads constants alone"
	case (d.role == moves || d.role == joins) && integers == 0 && constants < len(d.acts):
		return "it only moves elements, and what it reads is not quantised"
	}
	for _, s := range d.weight {
		v := n.In[s.input]
		if v.Type.DType != tensor.Float32 {
			return fmt.Sprintf("its weights %q are %v, not float32", v.Name, v.Type.DType)
		}
		if !p.rangeOfConst(v).finite {
			return fmt.Sprintf("its weights %q have NaN or infinite elements", v.Name)
		}
		if d.role == stores && v.Const.Len() < leastStored {
			return fmt.Sprintf("its weights %q have %d elements: below %d the file would hardly be smaller", v.Name, v.Const.Len(), leastStored)
		}
	}
	if d.op.bias > 0 && len(n.In) > d.op.bias && n.In[d.op.bias] != nil {
		if why := p.biasProblem(n, d, n.In[d.op.bias]); why != "" {
			return why
		}
	}
	if d.role == computes && d.op.weights == nil && floating > 0 && floating+constants == len(d.acts) {
		return "what it reads is computed in floating point"
	}
	for _, i := range d.acts {
		if why := p.rangeProblem(n.In[i]); why != "" {
			return why
		}
	}
	return ""
}

// end returns where what n computes is rounded, which is behind a Relu, Clip or
// bias if one follows, and why it cannot be. The values before it are marked.
func (p *plan) end(n *onnx.Node, d *decision) (end *onnx.Value, why string) {
	v, m := n.Out[0], n
	for d.op.ends && v.Uses() == 1 && !p.g.IsOutput(v) {
		u := v.Users()[0]
		bias := m == n && n.Op == "MatMul" && p.c.Format == QDQ && u.Op == "Add" && p.columnBias(u, v)
		if u.Graph != p.g || ops.NormalDomain(u.Domain) != "" || u.In[0] != v && !bias || u.Op != "Relu" && u.Op != "Clip" && !bias {
			break
		}
		if ok, _ := p.c.Selection.Allows(u); !ok || p.tail[u] || u.Out[0].Type.DType != tensor.Float32 {
			break
		}
		if p.c.Format == QOperator && u.Op == "Clip" {
			if _, _, ok := p.clipBounds(u); !ok {
				break
			}
		}
		p.inner[v] = true
		v, m = u.Out[0], u
		if u.Op != "Add" {
			break
		}
	}
	return v, p.rangeProblem(v)
}

// columnBias reports whether the Add u adds a constant vector to the columns of v.
func (p *plan) columnBias(u *onnx.Node, v *onnx.Value) bool {
	for i, in := range u.In {
		if in == v {
			o := u.In[1-i]
			return o != nil && o != v && p.constant(o) && o.Const.DType() == tensor.Float32 && o.Const.Rank() == 1 && v.Type.Rank() >= 1
		}
	}
	return false
}

// tooWide is what no scale of an activation should have to represent: such
// values are there to make a Softmax ignore elements.
const tooWide = 1e9

// rangeProblem says why v has no range to quantise it with, "" if it has.
func (p *plan) rangeProblem(v *onnx.Value) string {
	r, known := p.ownRange(v)
	switch {
	case p.constant(v) && !p.rangeOfConst(v).finite:
		return fmt.Sprintf("the constant %q has NaN or infinite elements", v.Name)
	case p.derived(v):
		return ""
	case !known:
		return fmt.Sprintf("no calibration range for %q", v.Name)
	case !r.finite():
		return fmt.Sprintf("the calibration range of %q is not finite: %v to %v", v.Name, r.Lo, r.Hi)
	case r.Lo < -tooWide || r.Hi > tooWide:
		return fmt.Sprintf("the range of %q is too wide for integers: %v to %v", v.Name, r.Lo, r.Hi)
	}
	return ""
}

// derived reports whether v has the scale of what its producer reads.
func (p *plan) derived(v *onnx.Value) bool { return p.quantized(v) && p.nodes[v.From].role == moves }

// ownRange returns the range of v by itself: of its elements if it is constant,
// of its operator if that gives it, else as calibrated.
func (p *plan) ownRange(v *onnx.Value) (Range, bool) {
	if p.constant(v) {
		return p.rangeOfConst(v).r, true
	}
	if p.given(v) {
		return *opOf(v.From).bounded, true
	}
	if p.ranges == nil {
		return Range{}, true
	}
	r, ok := p.ranges[v.Name]
	return r, ok
}

// given reports whether the range of v is that of the operator which computes it,
// whatever its results on samples are. A row of a Softmax may be anything from even
// to one 1. A Sigmoid or Tanh of small values uses a small part of its interval, so
// samples tell its scale, but a Tanh of format QOperator needs one that 1 is a multiple of.
func (p *plan) given(v *onnx.Value) bool {
	if v.From == nil {
		return false
	}
	op := opOf(v.From)
	return op != nil && op.bounded != nil && (p.c.Format == QOperator || v.From.Op != "Tanh")
}

func (p *plan) rangeOfConst(v *onnx.Value) constRange {
	r, ok := p.consts[v]
	if !ok {
		if v.Const.DType() == tensor.Float32 {
			r.r, r.finite = finiteRange(tensor.Data[float32](v.Const))
		}
		p.consts[v] = r
	}
	return r
}

// needed lists the values whose calibrated ranges the plan uses.
func (p *plan) needed() []string {
	var names []string
	for _, v := range p.values {
		if p.constant(v) || p.derived(v) || p.given(v) {
			continue
		}
		names = append(names, v.Name)
	}
	for _, q := range p.nested {
		for _, name := range q.needed() {
			if !slices.Contains(names, name) { // branches may have values of one name
				names = append(names, name)
			}
		}
	}
	return names
}

// groups returns the range of the values with one scale, by the value that stands for them.
func (p *plan) groups() map[*onnx.Value]Range {
	rs := map[*onnx.Value]Range{}
	for _, v := range p.values {
		if p.derived(v) {
			continue
		}
		r, _ := p.ownRange(v)
		if q, ok := rs[p.root(v)]; ok {
			r = r.union(q)
		}
		rs[p.root(v)] = r
	}
	for _, n := range p.g.Nodes { // what Pad puts in is part of its result
		if d := p.nodes[n]; n.Op == "Pad" && d.reason == "" {
			c, _ := p.padValue(n)
			rs[p.root(n.In[0])] = rs[p.root(n.In[0])].union(Range{c, c})
		}
	}
	return rs
}

// parameters returns the scale and zero point of each value that is kept as
// integers, by the value that stands for all with the same ones.
func (p *plan) parameters() map[*onnx.Value]affine {
	as := map[*onnx.Value]affine{}
	for v, r := range p.groups() {
		as[v] = p.acts.affine(r)
	}
	return as
}
