package optimize

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/gneiss-run/gneiss/internal/near"
	"github.com/gneiss-run/gneiss/internal/par"
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// Level is how far a graph is rewritten.
type Level uint8

// The levels.
const (
	Best     Level = iota // the furthest there is: Machine
	None                  // types are inferred and functions inlined, nothing else
	Portable              // the result is plain ONNX and can be saved
	Machine               // the result is for this process alone
)

// String returns the level's name in lower case.
func (l Level) String() string {
	switch l {
	case None:
		return "none"
	case Portable:
		return "portable"
	case Machine:
		return "machine"
	}
	return "best"
}

// ParseLevel returns the level of that name.
func ParseLevel(s string) (Level, error) {
	for _, l := range []Level{Best, None, Portable, Machine} {
		if s == l.String() {
			return l, nil
		}
	}
	return 0, fmt.Errorf("optimize: there is no level %q: it is none, portable, machine or best", s)
}

// Options bound and watch the rewriting. The zero value is right.
type Options struct {
	// Set is where operators are looked up (nil: ops.Standard).
	Set *ops.Set
	// Disable lists passes and rules, by name, that are not used. Names lists them.
	Disable []string
	// Only lists the passes and rules, by name, that are used; nil: all.
	Only []string
	// Dims gives sizes to named dimensions of the model's inputs.
	Dims map[string]int
	// Trust believes the shapes that the file declares for intermediate values.
	Trust bool
	// MaxRewrites stops after that many rewrites; 0: no limit. With it, the first
	// rewrite that changes a result can be found by bisection.
	MaxRewrites int
	// Trace is told of each rewrite, after it. May be nil.
	Trace func(Event)
	// RaiseOpset lets rules write operators that the declared opset lacks; the
	// model is then converted to a newer one.
	RaiseOpset bool
	// Check verifies the whole graph after each rewrite, and makes rules that
	// break a guard an error. For tests and for finding faults.
	Check bool
	// Private allows operators of ops.Private in the model, which otherwise only
	// the passes may write.
	Private bool
	// P is where constants are computed.
	P par.P
}

// Event is one rewrite.
type Event struct {
	N             int          // its number, from 1
	Rule          string       // the pass or rule
	Before, After []*onnx.Node // the nodes it covered, root first, and those it made
}

// String returns e.g. `3: double-transpose: Transpose "b", Transpose "a" => nothing`.
func (e Event) String() string {
	list := func(ns []*onnx.Node) string {
		if len(ns) == 0 {
			return "nothing"
		}
		s := make([]string, len(ns))
		for i, n := range ns {
			s[i] = n.String()
		}
		return strings.Join(s, ", ")
	}
	return fmt.Sprintf("%d: %s: %s => %s", e.N, e.Rule, list(e.Before), list(e.After))
}

// Report says what Run did.
type Report struct {
	NodesBefore, NodesAfter int // nested graphs included, after functions were inlined
	Rewrites                int
	Counts                  map[string]int // rewrites by pass or rule
}

// String returns e.g. "120 nodes, were 150: 20 × cse, 10 × fold".
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d nodes, were %d", r.NodesAfter, r.NodesBefore)
	names := slices.SortedFunc(maps.Keys(r.Counts), func(a, b string) int {
		if d := r.Counts[b] - r.Counts[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for i, n := range names {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%d × %s", sep, r.Counts[n], n)
	}
	return b.String()
}

// pass is one step of a pipeline.
type pass struct {
	name, doc string
	run       func(*state) error // a whole-graph pass
	rules     []*Rule            // or a table of rules
	index     ruleIndex          // of rules
}

// portable is the pipeline of level Portable; it is repeated until nothing changes.
func portable() []pass {
	return []pass{
		{name: "shapes", doc: "replace integers that follow from known shapes by constants", run: (*state).shapes},
		{name: "fold", doc: "compute nodes whose inputs are all constant", run: (*state).fold},
		{name: "branches", doc: "replace an If with a constant condition by the branch that is taken", run: (*state).branches},
		{name: "loops", doc: "take out of loops the values that they do not change, and those that nobody reads", run: (*state).loops},
		{name: "identities", doc: "rules that drop nodes without effect", rules: identities},
		{name: "forms", doc: "rules that bring what moves or selects into one form", rules: canonShape},
		{name: "functions", doc: "rules that find functions of single elements", rules: activationForms},
		{name: "norms", doc: "rules that find normalizations", rules: norms},
		{name: "channels", doc: "rules that fold per-channel factors and terms into convolutions and products", rules: channels},
		{name: "parallel", doc: "rules that join convolutions of one input whose results are added", rules: parallel},
		{name: "selections", doc: "compute only the part of a product that is read", run: (*state).selections},
		{name: "cse", doc: "compute equal nodes once", run: (*state).cse},
		{name: "dce", doc: "drop nodes and initializers that nothing reads", run: (*state).dce},
	}
}

// Name is a pass or rule that Options.Disable can switch off.
type Name struct{ Name, Doc string }

// Names lists all passes and rules in the order in which they run.
func Names() []Name {
	var out []Name
	seen := map[string]bool{} // some passes are in several stages
	add := func(name, doc string) {
		if !seen[name] {
			seen[name] = true
			out = append(out, Name{name, doc})
		}
	}
	for _, st := range stages(Machine) {
		for _, p := range st.passes {
			add(p.name, p.doc)
			for _, r := range p.rules {
				add(r.Name, r.Doc)
			}
		}
	}
	return out
}

// maxRounds bounds how often the pipeline is repeated. Graphs settle after two
// or three rounds.
const maxRounds = 12

// Run inlines m's functions, infers types and applies the passes of a level. On
// an error m may be left between two rewrites; it computes the same then.
func Run(m *onnx.Model, level Level, o Options) (*Report, error) {
	off, err := disabled(o)
	if err != nil {
		return nil, err
	}
	if err := Inline(m, o.Set); err != nil {
		return nil, err
	}
	if !o.Private {
		if err := noPrivate(m.Graph); err != nil {
			return nil, err
		}
	}
	set := o.Set
	if set == nil {
		set = ops.Standard()
	}
	if level != None {
		align(m, set)
		defer fixDefaults(m)()
	}
	s := &state{m: m, g: m.Graph, o: o, set: set, off: off, machine: len(stages(level)) > 1, report: &Report{Counts: map[string]int{}}}
	s.report.NodesBefore = countNodes(m.Graph)
	declared := make([]onnx.Type, len(s.g.Outputs))
	for i, v := range s.g.Outputs {
		declared[i] = v.Type
	}
	if err := s.infer(level != None); err != nil {
		return nil, err
	}
	for i, st := range stages(level) {
		if i == 1 { // behind Portable
			defer anyOpset(m.Graph)()
		}
		if err := s.stage(st); err != nil {
			return nil, err
		}
	}
	if s.raised {
		if err := convertOpset(m, "", newestOpset, set); err != nil {
			return nil, err
		}
	}
	f := newInferrer(m, InferOptions{Dims: o.Dims})
	for i, v := range s.g.Outputs {
		if t, err := merge(v.Type, f.substitute(declared[i])); err == nil {
			v.Type = t
		}
	}
	if !s.machine {
		m.Graph.Walk(nameApart)
	}
	s.report.NodesAfter = countNodes(m.Graph)
	return s.report, nil
}

// nameApart numbers nodes of g that have the name of another one: what takes the place
// of a node has its name, and may be several. ONNX Runtime loads no such graph.
func nameApart(g *onnx.Graph) {
	used := make(map[string]bool, len(g.Nodes))
	for _, n := range g.Nodes {
		used[n.Name] = true
	}
	seen := make(map[string]bool, len(g.Nodes))
	for _, n := range g.Nodes {
		if n.Name != "" && seen[n.Name] {
			name := n.Name
			for i := 2; used[n.Name]; i++ {
				n.Name = name + "_" + strconv.Itoa(i)
			}
			used[n.Name] = true
		}
		seen[n.Name] = true
	}
}

// noPrivate refuses operators that only this package may write.
func noPrivate(g *onnx.Graph) error {
	var err error
	g.Walk(func(h *onnx.Graph) {
		for _, n := range h.Nodes {
			if n.Domain == ops.Private && err == nil {
				err = fmt.Errorf("node %v: %w: operator %s.%s: the domain %q is reserved", n, ops.ErrUnsupported, n.Domain, n.Op, n.Domain)
			}
		}
	})
	return err
}

// state is one run over one model.
type state struct {
	m       *onnx.Model
	g       *onnx.Graph
	o       Options
	set     *ops.Set
	off     map[string]bool
	machine bool // the result is not saved
	report  *Report
	env     ops.InferEnv
	ints    map[*onnx.Value][]onnx.Dim
	tensors *tensorIDs
	raised  bool                              // a rule wrote operators of newestOpset
	weights map[*onnx.Node]bool               // Casts of weights to float32 that stay; nil before the pass precision
	exact   map[*tensor.Tensor]*tensor.Tensor // folded constants of 16 bits as float32 arithmetic gives them
}

// stage repeats the passes of st until nothing changes.
func (s *state) stage(st stage) error {
	for range maxRounds {
		before := s.report.Rewrites
		for _, p := range st.passes {
			if s.off[p.name] || !s.more() {
				continue
			}
			if err := s.pass(p); err != nil {
				return fmt.Errorf("optimize: %s: %w", p.name, err)
			}
		}
		if s.report.Rewrites == before || !s.more() {
			break
		}
		if err := s.infer(true); err != nil {
			return err
		}
	}
	return nil
}

func (s *state) infer(fresh bool) error {
	f := newInferrer(s.m, InferOptions{Set: s.set, Dims: s.o.Dims, Trust: s.o.Trust, Fresh: fresh, apart: !s.o.Trust})
	s.env, s.ints = f.env, f.ints
	return f.run(s.g)
}

func (s *state) pass(p pass) error {
	if p.run != nil {
		if err := p.run(s); err != nil {
			return err
		}
	} else if err := s.apply(p.index); err != nil {
		return err
	}
	if s.o.Check {
		return s.g.Check()
	}
	return nil
}

// more reports whether another rewrite is allowed.
func (s *state) more() bool { return s.o.MaxRewrites <= 0 || s.report.Rewrites < s.o.MaxRewrites }

// rewrote counts a rewrite.
func (s *state) rewrote(name string, before, after []*onnx.Node) {
	s.report.Rewrites++
	s.report.Counts[name]++
	if s.o.Trace != nil {
		s.o.Trace(Event{N: s.report.Rewrites, Rule: name, Before: before, After: after})
	}
}

func countNodes(g *onnx.Graph) int {
	n := 0
	g.Walk(func(h *onnx.Graph) { n += len(h.Nodes) })
	return n
}

// fixDefaults makes inputs with a default plain inputs while the graph is
// rewritten, since the caller may give another value. Before IR version 4 every
// initializer had to be listed among the inputs; these are meant as constants.
func fixDefaults(m *onnx.Model) (restore func()) {
	g := m.Graph
	if m.IRVersion < 4 {
		consts := map[*onnx.Value]bool{}
		for _, v := range g.Consts {
			consts[v] = true
		}
		g.Inputs = slices.DeleteFunc(g.Inputs, func(v *onnx.Value) bool {
			if v.Const != nil && !consts[v] {
				g.Consts = append(g.Consts, v)
			}
			return v.Const != nil
		})
		m.IRVersion = max(m.IRVersion, 4)
		return func() {}
	}
	var undo []func()
	for _, v := range g.Inputs {
		if c := v.Const; c != nil {
			v.Const = nil
			undo = append(undo, func() { v.Const = c })
		}
	}
	return func() {
		for _, f := range undo {
			f()
		}
	}
}

// disabled returns the names that are switched off.
func disabled(o Options) (map[string]bool, error) {
	off := map[string]bool{}
	if len(o.Disable) == 0 && o.Only == nil {
		return off, nil
	}
	known := Names()
	if o.Only != nil {
		for _, k := range known {
			off[k.Name] = true
		}
	}
	set := func(names []string, to bool) error {
		for _, n := range names {
			best, dist := "", 1<<30
			for _, k := range known {
				if d := near.Distance(n, k.Name); d < dist {
					best, dist = k.Name, d
				}
			}
			if dist > 0 {
				return fmt.Errorf("optimize: there is no pass or rule %q; the nearest is %q", n, best)
			}
			off[n] = to
		}
		return nil
	}
	if err := set(o.Only, false); err != nil {
		return nil, err
	}
	return off, set(o.Disable, true)
}
