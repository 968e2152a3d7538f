package onnx

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/tensor"
)

// NewestIR is the newest IR version that this package knows.
const NewestIR = 14

// Problem is one thing that is wrong with a model.
type Problem struct {
	Where string // e.g. `graph "main": node 3 (Conv "conv1")`; "" for the model
	Node  *Node  // the node that has it, if one does
	Text  string
}

// Error returns place and text.
func (p Problem) Error() string {
	if p.Where == "" {
		return p.Text
	}
	return p.Where + ": " + p.Text
}

// Check reports everything that makes m no valid ONNX: structure, names,
// imports, signatures of operators, types as far as they are known, external
// data. A model with problems may still run; one without may still use
// operators that nothing runs.
func Check(m *Model) []Problem {
	c := &checker{m: m, functions: map[functionID]*Function{}}
	c.model()
	return c.problems
}

type functionID struct{ domain, name, overload string }

type checker struct {
	m         *Model
	fn        *Function // the function that is being checked; nil in graphs
	functions map[functionID]*Function
	problems  []Problem
}

func (c *checker) report(where string, n *Node, format string, args ...any) {
	c.problems = append(c.problems, Problem{where, n, fmt.Sprintf(format, args...)})
}

func (c *checker) model() {
	m := c.m
	switch {
	case m.IRVersion <= 0:
		c.report("", nil, "ir_version is missing")
	case m.IRVersion > NewestIR:
		c.report("", nil, "ir_version is %d, newest known is %d", m.IRVersion, NewestIR)
	}
	if len(m.Opsets) == 0 && m.IRVersion >= 3 {
		c.report("", nil, "opset_import is empty")
	}
	if len(m.Functions) > 0 && m.IRVersion < 8 {
		c.report("", nil, "functions need ir_version 8, it is %d", m.IRVersion)
	}
	c.imports("", m.Opsets)
	for _, f := range m.Functions {
		id := functionID{f.Domain, f.Name, f.Overload}
		if c.functions[id] != nil {
			c.report(fmt.Sprintf("function %q", f.qualified()), nil, "it is defined twice")
			continue
		}
		c.functions[id] = f
	}
	c.recursion()
	if m.Graph == nil {
		c.report("", nil, "there is no graph")
		return
	}
	main := c.graph(m.Graph, "", nil, m.Opsets)
	c.mainValues(m.Graph)
	for _, f := range m.Functions {
		c.function(f)
	}
	for i, t := range m.Training {
		where := fmt.Sprintf("training_info %d: ", i)
		if t.Initialization != nil {
			c.graph(t.Initialization, where+"initialization: ", nil, m.Opsets)
		}
		if t.Algorithm != nil {
			c.graph(t.Algorithm, where+"algorithm: ", main, m.Opsets)
		}
	}
}

func (c *checker) imports(where string, opsets map[string]int) {
	for _, domain := range slices.Sorted(maps.Keys(opsets)) {
		version, newest := opsets[domain], schema.Newest(domain)
		if version < 1 {
			c.report(where, nil, "domain %q is imported with version %d", domain, version)
		} else if newest > 0 && version > newest && domain == "" {
			c.report(where, nil, "opset %d of domain %q is newer than the newest known, %d", version, domain, newest)
		}
	}
}

// recursion reports functions that call themselves.
func (c *checker) recursion() {
	state := map[*Function]int{} // 1: being visited, 2: done
	var visit func(f *Function)
	visit = func(f *Function) {
		state[f] = 1
		f.Graph.Walk(func(g *Graph) {
			for _, n := range g.Nodes {
				callee := c.functions[functionID{n.Domain, n.Op, n.Overload}]
				switch {
				case callee == nil:
				case state[callee] == 1:
					c.report(fmt.Sprintf("function %q", f.qualified()), n, "calls %q, which calls it again", callee.qualified())
				case state[callee] == 0:
					visit(callee)
				}
			}
		})
		state[f] = 2
	}
	for _, f := range c.m.Functions {
		if state[f] == 0 {
			visit(f)
		}
	}
}

func (c *checker) function(f *Function) {
	where := fmt.Sprintf("function %q", f.qualified())
	c.imports(where, f.Opsets)
	seen := map[string]bool{}
	names := slices.Clone(f.AttrNames)
	for _, a := range f.AttrDefaults {
		names = append(names, a.Name)
	}
	for _, a := range names {
		if seen[a] {
			c.report(where, nil, "attribute %q is declared twice", a)
		}
		seen[a] = true
	}
	if f.Name == "" {
		c.report(where, nil, "it has no name")
	}
	if len(f.Graph.Consts) > 0 {
		c.report(where, nil, "a function cannot have initializers")
	}
	c.fn = f
	c.graph(f.Graph, where+": ", nil, f.Opsets)
	c.fn = nil
}

// mainValues checks what only the main graph must have.
func (c *checker) mainValues(g *Graph) {
	where := fmt.Sprintf("graph %q", g.Name)
	if g.Name == "" {
		c.report(where, nil, "it has no name")
	}
	for _, v := range slices.Concat(g.Inputs, g.Outputs) {
		if v == nil {
			continue
		}
		if v.Type.Kind == UnknownKind {
			c.report(where, nil, "input or output %q has no type", v.Name)
		} else if (v.Type.Kind == TensorKind || v.Type.Kind == SparseKind) && v.Type.DType == tensor.Undefined {
			c.report(where, nil, "input or output %q has no element type", v.Name)
		}
	}
	if c.m.IRVersion > 0 && c.m.IRVersion < 4 {
		for _, v := range g.Consts {
			if !slices.Contains(g.Inputs, v) {
				c.report(where, nil, "initializer %q is no input, as ir_version %d wants", v.Name, c.m.IRVersion)
			}
		}
	}
	called := map[string]bool{}
	for _, v := range g.Outputs {
		if v == nil {
			continue
		}
		if called[v.Name] {
			c.report(where, nil, "output %q is listed twice", v.Name)
		}
		called[v.Name] = true
	}
}

// graph checks g and what is nested in it. where is what comes before the
// graph's name. It returns the names that graphs nested in g see.
func (c *checker) graph(g *Graph, where string, outer *names, opsets map[string]int) *names {
	if c.fn == nil || g != c.fn.Graph {
		where += fmt.Sprintf("graph %q", g.Name)
	} else {
		where = where[:len(where)-2]
	}
	s := walkGraph(g, outer, func(s *names, i int, n *Node, text string) {
		w := where
		if n != nil {
			w = fmt.Sprintf("%s: node %d (%v)", where, i, n)
		}
		c.report(w, n, "%s", text)
	}, func(s *names, i int, n *Node) {
		w := fmt.Sprintf("%s: node %d (%v)", where, i, n)
		c.node(n, w, opsets)
		for _, b := range n.Bodies() {
			if b != nil {
				c.graph(b, w+": ", s, opsets)
			}
		}
	})
	for _, v := range g.Consts {
		c.initializer(v, where)
	}
	return s
}

// walkGraph checks names and order of one graph: every value is defined once,
// before it is read, under a name that no graph around uses. It calls visit
// for each node where the names that the node sees are defined.
func walkGraph(g *Graph, outer *names, report func(s *names, i int, n *Node, text string), visit func(s *names, i int, n *Node)) *names {
	s := &names{outer: outer, m: map[string]*Value{}}
	declare := func(i int, n *Node, what string, v *Value) {
		switch {
		case v.Name == "":
			report(s, i, n, what+" has no name")
			return
		case s.m[v.Name] != nil && s.m[v.Name] != v:
			report(s, i, n, fmt.Sprintf("%s %q is the name of two values", what, v.Name))
			return
		case s.m[v.Name] == v:
			report(s, i, n, fmt.Sprintf("%s %q is defined twice", what, v.Name))
			return
		case outer.lookup(v.Name) != nil:
			report(s, i, n, fmt.Sprintf("%s %q hides a value of a graph around this one", what, v.Name))
		}
		s.m[v.Name] = v
	}
	for i, v := range g.Inputs {
		declare(i, nil, "input", v)
	}
	for i, v := range g.Consts {
		if !slices.Contains(g.Inputs, v) {
			declare(i, nil, "initializer", v)
		}
	}
	later := map[*Value]bool{}
	for _, n := range g.Nodes {
		for _, v := range n.Out {
			later[v] = true
		}
	}
	read := func(i int, n *Node, what string, v *Value) {
		if err := s.visible(v); err != nil {
			if later[v] && s.lookup(v.Name) == nil {
				report(s, i, n, fmt.Sprintf("%s %q is read before it is made", what, v.Name))
			} else {
				report(s, i, n, fmt.Sprintf("%s: %v", what, err))
			}
		}
	}
	for i, n := range g.Nodes {
		for j, v := range n.In {
			if v != nil {
				read(i, n, fmt.Sprintf("input %d", j), v)
			}
		}
		visit(s, i, n)
		for j, v := range n.Out {
			if v == nil {
				continue
			}
			if v.From != n {
				report(s, i, n, fmt.Sprintf("output %d, %q, is not its value", j, v.Name))
			}
			declare(i, n, fmt.Sprintf("output %d", j), v)
		}
	}
	for i, v := range g.Outputs {
		if v == nil {
			report(s, i, nil, fmt.Sprintf("output %d is missing", i))
			continue
		}
		read(i, nil, fmt.Sprintf("output %d", i), v)
	}
	return s
}

// initializer checks the tensor of v against its declared type.
func (c *checker) initializer(v *Value, where string) {
	var got Type
	switch {
	case v.Const != nil:
		got = TypeOf(v.Const)
	case v.Sparse != nil:
		got = TypeOf(v.Sparse)
		if err := checkSparse(v.Sparse); err != nil {
			c.report(where, nil, "sparse initializer %q: %v", v.Name, err)
		}
	case v.init != nil && len(v.init.external) > 0:
		got = v.init.typ
		if c.m.external != nil {
			if err := c.m.external(v.init); err != nil {
				c.report(where, nil, "initializer %q: %v", v.Name, err)
			}
		}
	default:
		c.report(where, nil, "initializer %q has no tensor", v.Name)
		return
	}
	want := v.Type
	if want.Kind == UnknownKind || want.Kind == SparseKind || got.Kind == SparseKind {
		return
	}
	ok := want.Kind == got.Kind && (want.DType == got.DType || want.DType == tensor.Undefined)
	if ok && want.Ranked {
		ok = len(want.Dims) == len(got.Dims)
		for i := 0; ok && i < len(got.Dims); i++ {
			n, known := want.Dims[i].Size()
			ok = !known || got.Dims[i].Is(n)
		}
	}
	if !ok {
		c.report(where, nil, "initializer %q has type %v, it is declared as %v", v.Name, got, want)
	}
}

// Check returns an error if g's structure is broken: a name that is used
// twice or hidden, a node that reads a later one's result, a node in another
// graph, a list of uses that does not say who reads the value. It does not
// look at operators. A nested graph is checked in the light of those around it.
func (g *Graph) Check() error {
	var first error
	note := func(where, text string) {
		if first == nil {
			first = invalid("graph %s: %s", where, text)
		}
	}
	var outer *names
	for h := g.Outer; h != nil; h = h.Outer { // all their values: g's place in them is not known here
		all := map[string]*Value{}
		for _, v := range slices.Concat(h.Inputs, h.Consts) {
			all[v.Name] = v
		}
		for _, n := range h.Nodes {
			for _, v := range n.Out {
				if v != nil {
					all[v.Name] = v
				}
			}
		}
		outer = appendOuter(outer, &names{m: all})
	}
	var walk func(g *Graph, outer *names)
	walk = func(g *Graph, outer *names) {
		walkGraph(g, outer, func(_ *names, i int, n *Node, text string) {
			where := fmt.Sprintf("%q", g.Name)
			if n != nil {
				where += fmt.Sprintf(": node %d (%v)", i, n)
			}
			note(where, text)
		}, func(s *names, i int, n *Node) {
			if n.Graph != g {
				note(fmt.Sprintf("%q: node %d (%v)", g.Name, i, n), "it belongs to another graph")
			}
			for _, b := range n.Bodies() {
				if b == nil {
					continue
				}
				if b.Outer != g {
					note(fmt.Sprintf("%q: node %d (%v)", g.Name, i, n), "the graph around its body is another one")
				}
				walk(b, s)
			}
		})
	}
	walk(g, outer)
	if first == nil {
		g.checkUses(note)
	}
	return first
}

// appendOuter puts s around the outermost level of chain.
func appendOuter(chain, s *names) *names {
	if chain == nil {
		return s
	}
	last := chain
	for last.outer != nil {
		last = last.outer
	}
	last.outer = s
	return chain
}

// checkUses compares each value's list of uses with the nodes that read it.
func (g *Graph) checkUses(note func(where, text string)) {
	want := map[*Value]map[*Node]int{}
	inside := map[*Node]bool{}
	own := []*Value{}
	g.Walk(func(h *Graph) {
		own = append(own, h.Inputs...)
		own = append(own, h.Consts...)
		for _, n := range h.Nodes {
			inside[n] = true
			own = append(own, n.Out...)
			add := func(v *Value) {
				if want[v] == nil {
					want[v] = map[*Node]int{}
				}
				want[v][n]++
			}
			for _, v := range n.In {
				if v != nil {
					add(v)
				}
			}
			n.captured(add)
		}
	})
	for _, v := range own {
		if v == nil {
			continue
		}
		got := map[*Node]int{}
		for _, n := range v.uses {
			switch {
			case inside[n]:
				got[n]++
			case n.Graph == nil:
				note(fmt.Sprintf("%q", g.Name), fmt.Sprintf("%q is said to be read by %v, which is in no graph", v.Name, n))
			}
		}
		if !maps.Equal(got, want[v]) && len(got)+len(want[v]) > 0 {
			note(fmt.Sprintf("%q", g.Name), fmt.Sprintf("the uses of %q are not the nodes that read it", v.Name))
		}
	}
}
