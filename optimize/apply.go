package optimize

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Rule replaces what a pattern matches by what Rewrite builds.
type Rule struct {
	Name    string
	Doc     string // one line
	Pattern *Pattern
	// Where holds conditions that the pattern cannot express; nil: none.
	Where func(*Match) bool
	// Rewrite returns one value per output of the root node (nil where that
	// output is not used), or nil to decline. It must leave the graph alone.
	Rewrite func(*Match, *ops.Builder) []*onnx.Value
	// Example builds a graph, outputs included, that the rule applies to.
	Example func(*ops.Builder)
}

// apply runs rules on all graphs of the model until none applies. Every guard
// that makes a rewrite safe is here: a rule states only what it computes.
func (s *state) apply(index ruleIndex) error {
	nodes := countNodes(s.g)
	w := &worklist{index: index, in: map[*onnx.Node]bool{}}
	// From the outputs on, so that the largest match wins.
	var fill func(g *onnx.Graph)
	fill = func(g *onnx.Graph) {
		for i := range g.Nodes { // the list is a stack: the last node is pushed last
			n := g.Nodes[i]
			for _, b := range n.Bodies() {
				fill(b)
			}
			w.push(n)
		}
	}
	fill(s.g)
	outs := s.outputs()
	budget := 20*nodes + 1000
	for n := w.pop(); n != nil; n = w.pop() {
		if n.Graph == nil {
			continue
		}
		for _, r := range index[n.Op] {
			if s.off[r.Name] || !r.Pattern.likely(n) {
				continue
			}
			if !s.more() {
				return nil
			}
			done, err := s.try(r, n, outs, w)
			if err != nil {
				return fmt.Errorf("rule %s at %v: %w", r.Name, n, err)
			}
			if !done {
				continue
			}
			if budget--; budget < 0 {
				return fmt.Errorf("rules do not come to an end: last was %s at %v", r.Name, n)
			}
			break
		}
	}
	return nil
}

// ruleIndex lists rules by the operators that can be at the root of their patterns.
type ruleIndex map[string][]*Rule

func indexOf(rules []*Rule) ruleIndex {
	index := ruleIndex{}
	for _, r := range rules {
		for _, op := range r.Pattern.roots() {
			index[op] = append(index[op], r)
		}
	}
	return index
}

// worklist is a stack of nodes without repetition: of those that a rule may apply to.
type worklist struct {
	index ruleIndex
	stack []*onnx.Node
	in    map[*onnx.Node]bool
}

func (w *worklist) push(n *onnx.Node) {
	if n != nil && len(w.index[n.Op]) > 0 && !w.in[n] {
		w.in[n] = true
		w.stack = append(w.stack, n)
	}
}

func (w *worklist) pop() *onnx.Node {
	if len(w.stack) == 0 {
		return nil
	}
	n := w.stack[len(w.stack)-1]
	w.stack = w.stack[:len(w.stack)-1]
	delete(w.in, n)
	return n
}

// outputs returns the outputs of all graphs of the model.
func (s *state) outputs() map[*onnx.Value]bool { return outputsOf(s.g) }

func outputsOf(root *onnx.Graph) map[*onnx.Value]bool {
	outs := map[*onnx.Value]bool{}
	root.Walk(func(g *onnx.Graph) {
		for _, v := range g.Outputs {
			outs[v] = true
		}
	})
	return outs
}

// try applies r at n if it fits.
func (s *state) try(r *Rule, n *onnx.Node, outs map[*onnx.Value]bool, w *worklist) (bool, error) {
	t := &trial{s: s, r: r, outs: outs}
	if !match(s.set, r.Pattern, n, t.accept) || t.fault != nil {
		return false, t.fault
	}
	m, out, made := t.m, t.out, t.made
	g := n.Graph
	before := make([]*onnx.Node, len(m.nodes))
	for i, k := range m.nodes {
		before[i] = k.n
	}
	for _, k := range made {
		if k.Name = n.Name; n.Name != "" && len(made) > 1 {
			k.Name += "/" + k.Op
		}
	}
	g.Insert(n, made...)
	also := m.also
	for i, v := range n.Out {
		if v != nil && out[i] != nil && v != out[i] {
			also = append(also, replacement{v, out[i]})
		}
	}
	for _, k := range also {
		was := outs[k.old]
		k.by.Type = refine(k.by, k.old)
		for _, u := range k.old.Users() {
			w.push(u)
		}
		g.Replace(k.old, k.by)
		if was { // Replace may have put an Identity in place
			clear(outs)
			maps.Copy(outs, s.outputs())
		}
	}
	for _, k := range made {
		w.push(k)
	}
	s.sweep(before, outs, w)
	s.rewrote(r.Name, before, made)
	if s.o.Check {
		if err := s.g.Check(); err != nil {
			return false, fmt.Errorf("leaves a broken graph: %w", err)
		}
	}
	return true, nil
}

// trial is one rule at one node: what the first match that the rule takes is
// replaced by, or the fault that ended the search.
type trial struct {
	s     *state
	r     *Rule
	outs  map[*onnx.Value]bool
	m     *Match
	out   []*onnx.Value
	made  []*onnx.Node
	fault error
}

func (t *trial) accept(m *Match) bool {
	if !closed(m, t.outs) || t.r.Where != nil && !t.r.Where(m) {
		return false
	}
	t.m = m
	t.out, t.made, t.fault = t.s.rewrite(t.r, m)
	return t.fault != nil || t.out != nil
}

// refine returns the type of v, which takes the place of old.
func refine(v, old *onnx.Value) onnx.Type {
	if v.From == nil {
		return v.Type
	}
	if t, err := merge(v.Type, old.Type); err == nil {
		return t
	}
	return v.Type
}

// sweep removes those of the nodes, and of what feeds them, that nothing reads any more.
func (s *state) sweep(nodes []*onnx.Node, outs map[*onnx.Value]bool, w *worklist) {
	for len(nodes) > 0 {
		n := nodes[0]
		nodes = nodes[1:]
		if n.Graph == nil || slices.ContainsFunc(n.Out, func(v *onnx.Value) bool {
			return v != nil && (v.Uses() > 0 || outs[v])
		}) {
			continue
		}
		in := slices.Clone(n.In)
		n.Graph.Remove(n)
		for _, v := range in {
			if v == nil {
				continue
			}
			if v.From != nil {
				nodes = append(nodes, v.From)
				w.push(v.From)
			}
			if v.Uses() == 1 { // it may now be fused with its only reader
				w.push(v.Users()[0])
			}
		}
	}
}

// rewrite lets r build its replacement and holds it against the guards. A nil
// list of values declines.
func (s *state) rewrite(r *Rule, m *Match) ([]*onnx.Value, []*onnx.Node, error) {
	n := m.Root
	build := func() ([]*onnx.Value, *ops.Builder) {
		b := ops.NewBuilder(n.Graph)
		b.Set, b.Env = s.set, s.env
		m.also = nil
		return r.Rewrite(m, b), b
	}
	out, b := build()
	lacks := errors.Is(b.Err(), ops.ErrUnsupported) || b.Err() == nil && !s.declared(b.Nodes)
	switch {
	case lacks && s.o.RaiseOpset:
		// The declared opset lacks an operator: write it as of the newest.
		old := n.Graph.Opsets[""]
		n.Graph.Opsets[""] = newestOpset
		out, b = build()
		n.Graph.Opsets[""] = old
		s.raised = s.raised || b.Err() == nil && out != nil
	case lacks:
		return nil, nil, nil
	}
	if err := b.Err(); err != nil {
		if errors.Is(err, ops.ErrUnsupported) {
			return nil, nil, nil
		}
		if s.o.Check {
			return nil, nil, err
		}
		return nil, nil, nil
	}
	if out == nil {
		return nil, nil, nil
	}
	if len(out) < len(n.Out) {
		return nil, nil, fmt.Errorf("gives %d values for %d outputs", len(out), len(n.Out))
	}
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		if out[i] == nil {
			if v.Uses() > 0 || slices.Contains(n.Graph.Outputs, v) {
				return nil, nil, nil
			}
			continue
		}
		if n.Op == "Identity" && v.Uses() == 0 && n.Graph.IsOutput(v) &&
			(out[i].From == nil || out[i].From.Graph != n.Graph || n.Graph.IsOutput(out[i])) {
			return nil, nil, nil // Replace would put the Identity back, to carry the name
		}
		if err := compatible(out[i].Type, v.Type); err != nil {
			if s.o.Check {
				return nil, nil, fmt.Errorf("changes %v to %v: %w", v.Type, out[i].Type, err)
			}
			return nil, nil, nil
		}
	}
	for _, k := range m.also {
		if !readLater(k.old, m) || compatible(k.by.Type, k.old.Type) != nil {
			return nil, nil, nil
		}
	}
	return out, b.Nodes, nil
}

// declared reports whether the standard has the operators of ns at their opsets,
// where the result may be saved: ours knows some that it had only later.
func (s *state) declared(ns []*onnx.Node) bool {
	return s.machine || !slices.ContainsFunc(ns, func(n *onnx.Node) bool {
		return n.Domain == "" && schema.Lookup("", n.Op, n.Opset) == nil
	})
}

// readLater reports whether all readers of v outside of the match come after
// its root, in the same graph.
func readLater(v *onnx.Value, m *Match) bool {
	g := m.Root.Graph
	if v.From == nil || v.From.Graph != g {
		return false
	}
	late := map[*onnx.Node]bool{}
	for i := len(g.Nodes) - 1; i >= 0 && g.Nodes[i] != m.Root; i-- {
		late[g.Nodes[i]] = true
	}
	return !slices.ContainsFunc(v.Users(), func(u *onnx.Node) bool {
		return !late[u] && !slices.ContainsFunc(m.nodes, func(k node1) bool { return k.n == u })
	})
}

// newestOpset is the newest version of the default domain that rules write.
const newestOpset = 23

// compatible says whether a value of type a may stand where one of type b was.
func compatible(a, b onnx.Type) error {
	if a.Kind == onnx.TensorKind && b.Kind == onnx.TensorKind && a.DType != b.DType &&
		a.DType != tensor.Undefined && b.DType != tensor.Undefined {
		return fmt.Errorf("%v against %v", a.DType, b.DType)
	}
	_, err := merge(a, b)
	return err
}

// closed reports whether no value inside the match is read from outside of it,
// returned by a graph, or captured by one.
func closed(m *Match, outs map[*onnx.Value]bool) bool {
	for _, k := range m.nodes {
		if k.n == m.Root || k.shared {
			continue
		}
		for _, v := range k.n.Out {
			if v == nil {
				continue
			}
			if outs[v] {
				return false
			}
			for _, u := range v.Users() {
				if !slices.ContainsFunc(m.nodes, func(x node1) bool { return x.n == u }) {
					return false
				}
			}
		}
	}
	return true
}
