package onnx

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/gneiss-run/gneiss/tensor"
)

// namer hands out value names that are unique in a model's graph and all its
// nested graphs.
type namer struct {
	used map[string]bool
	next int
}

func (n *namer) fresh(prefix string) string {
	if prefix == "" {
		prefix = "v"
	}
	for {
		n.next++
		name := prefix + "_" + strconv.Itoa(n.next)
		if !n.used[name] {
			n.used[name] = true
			return name
		}
	}
}

// NewGraph returns an empty graph. opsets is kept, not copied.
func NewGraph(name string, opsets map[string]int) *Graph {
	return &Graph{Name: name, Opsets: opsets}
}

// NewBody returns an empty graph nested in g.
func (g *Graph) NewBody(name string) *Graph {
	return &Graph{Name: name, Opsets: g.Opsets, Outer: g}
}

// FreshName returns a value name that nothing in the model uses yet.
func (g *Graph) FreshName(prefix string) string {
	root := g
	for root.Outer != nil {
		root = root.Outer
	}
	if root.names == nil {
		root.names = &namer{used: map[string]bool{}}
		root.Walk(func(h *Graph) {
			for _, v := range h.Inputs {
				root.names.used[v.Name] = true
			}
			for _, v := range h.Consts {
				root.names.used[v.Name] = true
			}
			for _, n := range h.Nodes {
				for _, v := range n.Out {
					if v != nil {
						root.names.used[v.Name] = true
					}
				}
			}
		})
	}
	return root.names.fresh(prefix)
}

// Walk calls f for g and every graph nested in it, outermost first.
func (g *Graph) Walk(f func(*Graph)) {
	f(g)
	for _, n := range g.Nodes {
		for _, b := range n.Bodies() {
			b.Walk(f)
		}
	}
}

// NewValue makes a value without a producer. An empty name gets a fresh one.
func (g *Graph) NewValue(name string, t Type) *Value {
	if name == "" {
		name = g.FreshName("")
	}
	return &Value{Name: name, Type: t}
}

// AddInput appends an input.
func (g *Graph) AddInput(name string, t Type) *Value {
	v := g.NewValue(name, t)
	g.Inputs = append(g.Inputs, v)
	return v
}

// NewConst makes an initializer. It is listed in the graph when a node that
// reads it is inserted, or by AddConst.
func (g *Graph) NewConst(name string, t *tensor.Tensor) *Value {
	v := g.NewValue(name, TypeOf(t))
	v.Const = t
	return v
}

// AddConst lists the initializer v in g.
func (g *Graph) AddConst(v *Value) *Value {
	g.Consts = append(g.Consts, v)
	return v
}

// NewNode makes a node of the default domain with outs fresh output values. It
// leaves no trace in g until Insert, so a rewrite can be dropped half built.
func (g *Graph) NewNode(op string, as Attrs, in []*Value, outs int) *Node {
	return g.NewNodeIn("", op, as, in, outs)
}

// NewNodeIn is NewNode for an operator of any domain.
func (g *Graph) NewNodeIn(domain, op string, as Attrs, in []*Value, outs int) *Node {
	n := &Node{Domain: domain, Op: op, Opset: g.Opsets[domain], Attrs: as, In: in}
	for range outs {
		n.Out = append(n.Out, &Value{Name: g.FreshName(op), From: n})
	}
	return n
}

// Insert places nodes, in order, before at; at == nil appends. Constants that
// they read and that no graph lists yet are listed in g.
func (g *Graph) Insert(at *Node, ns ...*Node) {
	for _, n := range ns {
		n.Graph = g
		for _, v := range n.In {
			if v == nil {
				continue
			}
			if v.Const != nil && v.From == nil && len(v.uses) == 0 && !g.lists(v) {
				g.Consts = append(g.Consts, v)
			}
			v.uses = append(v.uses, n)
		}
	}
	for _, n := range ns {
		n.captured(func(v *Value) { v.uses = append(v.uses, n) })
	}
	i := len(g.Nodes)
	if at != nil {
		i = g.index(at)
	}
	for j, n := range ns {
		n.at = i + j
	}
	g.Nodes = slices.Insert(g.Nodes, i, ns...)
}

// index returns the position of n, which must be in g. Nodes remember where
// they were last seen, so that an edit does not search the whole graph.
func (g *Graph) index(n *Node) int {
	for d := range 16 {
		if i := n.at - d; i >= 0 && i < len(g.Nodes) && g.Nodes[i] == n {
			return i
		}
		if i := n.at + d; i >= 0 && i < len(g.Nodes) && g.Nodes[i] == n {
			return i
		}
	}
	found := -1
	for i, m := range g.Nodes {
		m.at = i
		if m == n {
			found = i
		}
	}
	return found
}

// owns reports whether v is an input, initializer or result of g itself.
func (g *Graph) owns(v *Value) bool {
	if v.From != nil {
		return v.From.Graph == g
	}
	return slices.Contains(g.Consts, v) || slices.Contains(g.Inputs, v)
}

// captured calls f for each output of a graph nested directly in n that is a
// value of a graph around it: n counts as its reader.
func (n *Node) captured(f func(*Value)) {
	for i := range n.Attrs {
		if !isGraph(n.Attrs[i].Value) {
			continue
		}
		for _, b := range n.Bodies() {
			for _, v := range b.Outputs {
				if v != nil && !b.owns(v) {
					f(v)
				}
			}
		}
		return
	}
}

// Splice moves the nodes and initializers of h to g, before at (nil: at the
// end). h's inputs must have no readers left. What nested graphs of the moved
// nodes read stays the same. h is empty afterwards, but for its Outputs.
func (g *Graph) Splice(at *Node, h *Graph) {
	i := len(g.Nodes)
	if at != nil {
		i = g.index(at)
	}
	for j, n := range h.Nodes {
		n.Graph, n.at = g, i+j
		for _, b := range n.Bodies() {
			b.Outer = g
			b.Walk(func(k *Graph) { k.Opsets = g.Opsets })
		}
	}
	g.Nodes = slices.Insert(g.Nodes, i, h.Nodes...)
	g.Consts = append(g.Consts, h.Consts...)
	h.Nodes, h.Consts, h.Inputs = nil, nil, nil
}

// lists reports whether v is an initializer or input of g or a graph around it.
func (g *Graph) lists(v *Value) bool {
	for h := g; h != nil; h = h.Outer {
		if slices.Contains(h.Consts, v) || slices.Contains(h.Inputs, v) {
			return true
		}
	}
	return false
}

// IsOutput reports whether v is an output of g.
func (g *Graph) IsOutput(v *Value) bool { return slices.Contains(g.Outputs, v) }

// SetInput makes input i of n read v, which may be nil.
func (n *Node) SetInput(i int, v *Value) {
	for len(n.In) <= i {
		n.In = append(n.In, nil)
	}
	if old := n.In[i]; old != nil {
		old.dropUse(n)
	}
	n.In[i] = v
	if v != nil {
		v.uses = append(v.uses, n)
	}
}

// TrimInputs drops absent inputs from the end of n's list.
func (n *Node) TrimInputs() {
	for len(n.In) > 0 && n.In[len(n.In)-1] == nil {
		n.In = n.In[:len(n.In)-1]
	}
}

func (v *Value) dropUse(n *Node) {
	if j := slices.Index(v.uses, n); j >= 0 {
		v.uses = slices.Delete(v.uses, j, j+1)
	}
}

// Replace makes every use of old, an output of one of g's nodes, read new
// instead, in g and the graphs nested in it. Names and order of graph outputs
// stay: where new cannot take old's name, because it is an input, a constant,
// of another graph or an output already, an Identity carries it.
func (g *Graph) Replace(old, new *Value) {
	if old == new {
		return
	}
	users := old.uses
	old.uses = nil
	g.rename(old, new)
	for _, u := range users {
		for i, in := range u.In {
			if in == old {
				u.In[i] = new
				new.uses = append(new.uses, u)
			}
		}
		for _, b := range u.Bodies() { // u may be listed because a body of it returns old
			b.rename(old, new)
		}
	}
}

// rename makes g's outputs that are old be new, under the same name.
func (g *Graph) rename(old, new *Value) {
	for i, o := range g.Outputs {
		if o != old {
			continue
		}
		if new.From == nil || new.From.Graph != g || g.IsOutput(new) {
			n := g.NewNode("Identity", nil, []*Value{new}, 1)
			n.Out[0].Type = old.Type
			g.Insert(nil, n)
			g.Outputs[i] = n.Out[0]
		} else {
			g.Outputs[i] = new
		}
		if old.From != nil && old.From.Graph == g { // else the name belongs to a graph around g
			g.Outputs[i].Name, old.Name = old.Name, g.FreshName(old.Name)
		}
	}
}

// Remove takes n out of g. None of its outputs may still be used.
func (g *Graph) Remove(n *Node) {
	for _, v := range n.In {
		if v != nil {
			v.dropUse(n)
		}
	}
	drop := func(v *Value) { v.dropUse(n) }
	n.captured(drop)
	for _, b := range n.Bodies() { // what a body captured is no longer read
		b.Walk(func(h *Graph) {
			for _, m := range h.Nodes {
				for _, v := range m.In {
					if v != nil {
						v.dropUse(m)
					}
				}
				m.captured(func(v *Value) { v.dropUse(m) })
			}
		})
	}
	if i := g.index(n); i >= 0 {
		g.Nodes = slices.Delete(g.Nodes, i, i+1)
	}
	n.Graph = nil
}

// Prune drops nodes none of whose outputs is used, and initializers that
// nothing reads, in g and the graphs nested in it. It returns the number of
// nodes dropped. Inputs with a default stay.
func (g *Graph) Prune() int {
	outs := map[*Value]bool{}
	g.Walk(func(h *Graph) {
		for _, v := range h.Outputs {
			outs[v] = true
		}
	})
	return g.prune(outs)
}

func (g *Graph) prune(outs map[*Value]bool) int {
	dropped := 0
	live := func(v *Value) bool { return v != nil && (len(v.uses) > 0 || outs[v]) }
	kept := make([]*Node, 0, len(g.Nodes))
	for i := len(g.Nodes) - 1; i >= 0; i-- {
		n := g.Nodes[i]
		if slices.ContainsFunc(n.Out, live) {
			for _, b := range n.Bodies() {
				dropped += b.prune(outs)
			}
			kept = append(kept, n)
			continue
		}
		g.Nodes = g.Nodes[:i+1]
		g.Remove(n)
		dropped++
	}
	slices.Reverse(kept)
	g.Nodes = kept
	for i, n := range kept {
		n.at = i
	}
	g.Consts = slices.DeleteFunc(g.Consts, func(v *Value) bool { return !live(v) && !slices.Contains(g.Inputs, v) })
	g.Infos = slices.DeleteFunc(g.Infos, func(v *Value) bool { return v.From == nil || v.From.Graph == nil })
	return dropped
}

// Captures returns the values of surrounding graphs that g and the graphs
// nested in it read, each once, in order of first use. Initializers of
// surrounding graphs are included.
func (g *Graph) Captures() []*Value {
	own := map[*Value]bool{}
	var out []*Value
	see := func(v *Value) {
		if v != nil && !own[v] {
			own[v] = true
			out = append(out, v)
		}
	}
	var walk func(h *Graph)
	walk = func(h *Graph) {
		for _, v := range h.Inputs {
			own[v] = true
		}
		for _, v := range h.Consts {
			own[v] = true
		}
		for _, n := range h.Nodes {
			for _, v := range n.In {
				see(v)
			}
			for _, b := range n.Bodies() {
				walk(b)
			}
			for _, v := range n.Out {
				if v != nil {
					own[v] = true
				}
			}
		}
		for _, v := range h.Outputs {
			see(v)
		}
	}
	walk(g)
	return out
}

// RebuildUses recomputes every value's list of uses after a graph was put
// together by hand (Decode, Clone).
func (g *Graph) RebuildUses() {
	reset := func(vs []*Value) {
		for _, v := range vs {
			if v != nil {
				v.uses = nil
			}
		}
	}
	g.Walk(func(h *Graph) {
		reset(h.Inputs)
		reset(h.Consts)
		reset(h.Outputs)
		for i, n := range h.Nodes {
			n.Graph, n.at = h, i
			reset(n.In)
			reset(n.Out)
		}
	})
	g.addUses()
}

// addUses enters the readers of values, in a graph whose nodes are no readers yet.
func (g *Graph) addUses() {
	g.Walk(func(h *Graph) {
		for i, n := range h.Nodes {
			n.Graph, n.at = h, i
			for _, v := range n.In {
				if v != nil {
					v.uses = append(v.uses, n)
				}
			}
			n.captured(func(v *Value) { v.uses = append(v.uses, n) })
		}
	})
}

// Clone returns a deep copy of the model's graphs and functions. Tensors are
// shared; they are never written. The clone does not own the mapped file: the
// original must stay open as long as the clone's tensors are read.
func (m *Model) Clone() *Model {
	c := *m
	c.closer = nil
	c.Opsets = cloneMap(m.Opsets)
	values := map[*Value]*Value{}
	if m.Graph != nil {
		c.Graph = cloneGraph(m.Graph, nil, c.Opsets, values)
	}
	c.Training = make([]*Training, len(m.Training))
	for i, t := range m.Training {
		k := *t
		if t.Initialization != nil {
			k.Initialization = cloneGraph(t.Initialization, nil, c.Opsets, map[*Value]*Value{})
		}
		if t.Algorithm != nil { // it reads values of the main graph
			k.Algorithm = cloneGraph(t.Algorithm, c.Graph, c.Opsets, values)
		}
		c.Training[i] = &k
	}
	c.Functions = make([]*Function, len(m.Functions))
	for i, f := range m.Functions {
		c.Functions[i] = f.Clone()
	}
	return &c
}

// Clone returns a deep copy of the function.
func (f *Function) Clone() *Function {
	c := *f
	c.Opsets = cloneMap(f.Opsets)
	c.Graph = cloneGraph(f.Graph, nil, c.Opsets, map[*Value]*Value{})
	return &c
}

func cloneMap(m map[string]int) map[string]int {
	c := make(map[string]int, len(m))
	for k, v := range m {
		c[k] = v
	}
	return c
}

// CloneInto copies g as a graph nested in outer (nil: a main graph). Values
// in with are taken over as given; values of neither are shared.
func (g *Graph) CloneInto(outer *Graph, opsets map[string]int, with map[*Value]*Value) *Graph {
	return cloneGraph(g, outer, opsets, with)
}

func cloneGraph(g, outer *Graph, opsets map[string]int, m map[*Value]*Value) *Graph {
	c := *g
	c.Outer, c.Opsets, c.names = outer, opsets, nil
	value := func(v *Value) *Value {
		if v == nil {
			return nil
		}
		if w, ok := m[v]; ok {
			return w
		}
		w := *v
		w.uses, w.From = nil, nil
		m[v] = &w
		return &w
	}
	read := func(v *Value) *Value { // a value of a graph around g, unless it was mapped
		if v == nil {
			return nil
		}
		if w, ok := m[v]; ok {
			return w
		}
		return v
	}
	list := func(vs []*Value, f func(*Value) *Value) []*Value {
		out := make([]*Value, len(vs))
		for i, v := range vs {
			out[i] = f(v)
		}
		return out
	}
	c.Inputs, c.Consts = list(g.Inputs, value), list(g.Consts, value)
	c.Nodes = make([]*Node, len(g.Nodes))
	for i, n := range g.Nodes {
		k := *n
		k.Graph = &c
		k.In = list(n.In, read)
		for _, v := range k.In {
			if v != nil {
				v.uses = append(v.uses, &k)
			}
		}
		k.Attrs = slices.Clone(n.Attrs)
		for j := range k.Attrs {
			switch b := k.Attrs[j].Value.(type) {
			case *Graph:
				k.Attrs[j].Value = cloneGraph(b, &c, opsets, m)
			case []*Graph:
				bs := make([]*Graph, len(b))
				for x := range b {
					bs[x] = cloneGraph(b[x], &c, opsets, m)
				}
				k.Attrs[j].Value = bs
			}
		}
		k.captured(func(v *Value) { v.uses = append(v.uses, &k) })
		k.Out = list(n.Out, value)
		for _, v := range k.Out {
			if v != nil {
				v.From = &k
			}
		}
		c.Nodes[i] = &k
	}
	c.Outputs, c.Infos = list(g.Outputs, read), list(g.Infos, read)
	return &c
}

// Sort puts the nodes of g in topological order, keeping file order where it
// can. It is an error if the graph has a cycle.
func (g *Graph) Sort() error {
	const (
		fresh = iota
		open
		done
	)
	state := make(map[*Node]uint8, len(g.Nodes))
	out := make([]*Node, 0, len(g.Nodes))
	type frame struct {
		n    *Node
		deps []*Value
	}
	deps := func(n *Node) []*Value {
		ds := slices.Clone(n.In)
		for _, b := range n.Bodies() {
			ds = append(ds, b.Captures()...)
		}
		return ds
	}
	for _, root := range g.Nodes {
		if state[root] != fresh {
			continue
		}
		stack := []frame{{root, deps(root)}}
		state[root] = open
		for len(stack) > 0 {
			f := &stack[len(stack)-1]
			if len(f.deps) == 0 {
				state[f.n] = done
				out = append(out, f.n)
				stack = stack[:len(stack)-1]
				continue
			}
			v := f.deps[0]
			f.deps = f.deps[1:]
			if v == nil || v.From == nil || v.From.Graph != g {
				continue
			}
			switch state[v.From] {
			case open:
				return fmt.Errorf("graph %q has a cycle through %v", g.Name, v.From)
			case fresh:
				state[v.From] = open
				stack = append(stack, frame{v.From, deps(v.From)})
			}
		}
	}
	g.Nodes = out
	return nil
}
