package onnx

import (
	"slices"
	"strings"

	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/tensor"
)

// node checks one node against the signature of its operator or function.
func (c *checker) node(n *Node, where string, opsets map[string]int) {
	for i := range n.Attrs {
		c.ref(n, &n.Attrs[i], where)
	}
	c.bodies(n, where)
	version, imported := opsets[n.Domain]
	if !imported && c.m.IRVersion >= 3 {
		c.report(where, n, "domain %q is not imported", n.Domain)
	}
	if imported && n.Opset != version {
		c.report(where, n, "it means opset %d, %d is imported", n.Opset, version)
	}
	if f := c.functions[functionID{n.Domain, n.Op, n.Overload}]; f != nil {
		c.call(n, f, where)
		return
	}
	op := schema.Lookup(n.Domain, n.Op, n.Opset)
	switch {
	case op != nil:
	case schema.Newest(n.Domain) == 0:
		c.report(where, n, "nothing defines domain %q", n.Domain)
		return
	case schema.Versions(n.Domain, n.Op) == nil:
		c.report(where, n, "there is no operator %q in domain %q", n.Op, n.Domain)
		return
	default:
		c.report(where, n, "the operator is new in opset %d, this is %d", schema.Versions(n.Domain, n.Op)[0].Since, n.Opset)
		return
	}
	if op.Deprecated {
		c.report(where, n, "the operator is deprecated since opset %d", op.Since)
		return // a deprecated version has no signature
	}
	c.params(n, where, "input", n.In, op.MinInput, op.MaxInput, op.InputParam)
	c.params(n, where, "output", n.Out, op.MinOutput, op.MaxOutput, op.OutputParam)
	c.attributes(n, op, where)
	c.types(n, op, where)
}

func (c *checker) params(n *Node, where, what string, vs []*Value, least, most int, param func(int) *schema.Param) {
	if len(vs) < least { // absent ones count
		c.report(where, n, "it has %d %ss, want at least %d", len(vs), what, least)
	}
	for len(vs) > 0 && vs[len(vs)-1] == nil {
		vs = vs[:len(vs)-1]
	}
	if len(vs) > most {
		c.report(where, n, "it has %d %ss, want at most %d", len(vs), what, most)
		return
	}
	for i, v := range vs {
		if p := param(i); v == nil && p != nil && p.Option == schema.Single && what == "input" {
			c.report(where, n, "%s %d, %s, is missing", what, i, p.Name)
		}
	}
}

func (c *checker) attributes(n *Node, op *schema.Op, where string) {
	seen := map[string]bool{}
	for i := range n.Attrs {
		a := &n.Attrs[i]
		if seen[a.Name] {
			c.report(where, n, "attribute %q is given twice", a.Name)
		}
		seen[a.Name] = true
		want, ok := op.Attributes[a.Name]
		if !ok {
			c.report(where, n, "the operator has no attribute %q", a.Name)
			continue
		}
		if got := attrTypeOf(a.Value).String(); got != want.Type {
			if want.Type == "INTS" || want.Type == "FLOATS" || want.Type == "STRINGS" {
				if _, empty := emptyList[[]int64](a.Value); empty { // an empty list may have lost its type
					continue
				}
			}
			c.report(where, n, "attribute %q is of type %s, want %s", a.Name, got, want.Type)
		}
	}
	for _, name := range sortedKeys(op.Attributes) {
		if op.Attributes[name].Required && !seen[name] {
			c.report(where, n, "attribute %q is missing", name)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// ref checks a reference to a function's attribute.
func (c *checker) ref(n *Node, a *Attr, where string) {
	if a.Ref == "" {
		return
	}
	switch {
	case c.fn == nil:
		c.report(where, n, "attribute %q refers to the function attribute %q outside of a function", a.Name, a.Ref)
	case !slices.Contains(c.fn.AttrNames, a.Ref) && c.fn.AttrDefaults.Get(a.Ref) == nil:
		c.report(where, n, "attribute %q refers to %q, which is no attribute of the function", a.Name, a.Ref)
	}
}

// call checks a node that calls the function f.
func (c *checker) call(n *Node, f *Function, where string) {
	if len(n.In) > len(f.Graph.Inputs) {
		c.report(where, n, "it has %d inputs, the function takes %d", len(n.In), len(f.Graph.Inputs))
	}
	if len(n.Out) > len(f.Graph.Outputs) {
		c.report(where, n, "it has %d outputs, the function gives %d", len(n.Out), len(f.Graph.Outputs))
	}
	for _, name := range f.AttrNames {
		if n.Attrs.Get(name) == nil {
			c.report(where, n, "attribute %q is missing", name)
		}
	}
	for i := range n.Attrs {
		name := n.Attrs[i].Name
		if !slices.Contains(f.AttrNames, name) && f.AttrDefaults.Get(name) == nil {
			c.report(where, n, "the function has no attribute %q", name)
		}
	}
}

// bodies checks the numbers of inputs and outputs of nested graphs.
func (c *checker) bodies(n *Node, where string) {
	if n.Domain != "" {
		return
	}
	body := func(name string) *Graph {
		if a := n.Attrs.Get(name); a != nil {
			g, _ := a.Value.(*Graph)
			return g
		}
		return nil
	}
	want := func(name string, g *Graph, in, out int) {
		if g == nil {
			return
		}
		if in >= 0 && len(g.Inputs) != in {
			c.report(where, n, "graph %q has %d inputs, want %d", name, len(g.Inputs), in)
		}
		if len(g.Outputs) != out {
			c.report(where, n, "graph %q has %d outputs, want %d", name, len(g.Outputs), out)
		}
	}
	switch n.Op {
	case "If":
		want("then_branch", body("then_branch"), 0, len(n.Out))
		want("else_branch", body("else_branch"), 0, len(n.Out))
	case "Loop":
		carried := max(len(n.In)-2, 0)
		want("body", body("body"), 2+carried, 1+len(n.Out))
	case "Scan":
		in := len(n.In)
		if n.Opset < 9 {
			in-- // sequence_lens
		}
		want("body", body("body"), max(in, 0), len(n.Out))
	case "SequenceMap":
		want("body", body("body"), len(n.In), len(n.Out))
	}
}

// types checks what is known of the types of inputs and outputs.
func (c *checker) types(n *Node, op *schema.Op, where string) {
	type bound struct {
		typ, by string
	}
	vars := map[string]bound{}
	see := func(what string, vs []*Value, param func(int) *schema.Param) {
		for i, v := range vs {
			p := param(i)
			if v == nil || p == nil {
				continue
			}
			got := typeName(v.Type)
			if got == "" {
				continue
			}
			allowed, isVar := op.Types[p.Type]
			if !isVar {
				allowed = []string{p.Type}
			}
			if !slices.Contains(allowed, got) {
				c.report(where, n, "%s %d, %s, has type %s, want %s", what, i, p.Name, got, strings.Join(allowed, ", "))
				continue
			}
			if !isVar || p.Option == schema.Variadic && !p.Homogeneous {
				continue
			}
			if b, ok := vars[p.Type]; !ok {
				vars[p.Type] = bound{got, p.Name}
			} else if b.typ != got {
				c.report(where, n, "%s %d, %s, has type %s, want %s as %s has", what, i, p.Name, got, b.typ, b.by)
			}
		}
	}
	see("input", n.In, op.InputParam)
	see("output", n.Out, op.OutputParam)
}

// typeName returns t as ONNX's signatures spell it, without dimensions, or ""
// if a part of it is unknown.
func typeName(t Type) string {
	wrap := func(name string) string {
		if t.Elem == nil {
			return ""
		}
		e := typeName(*t.Elem)
		if e == "" {
			return ""
		}
		return name + "(" + e + ")"
	}
	switch t.Kind {
	case TensorKind, SparseKind:
		if !t.DType.Valid() {
			return ""
		}
		if t.Kind == SparseKind {
			return "sparse_tensor(" + dtypeName(t.DType) + ")"
		}
		return "tensor(" + dtypeName(t.DType) + ")"
	case SequenceKind:
		return wrap("seq")
	case OptionalKind:
		return wrap("optional")
	case MapKind:
		if t.Elem == nil || t.Elem.Kind != TensorKind || !t.Elem.DType.Valid() || !t.DType.Valid() {
			return ""
		}
		return "map(" + dtypeName(t.DType) + ", " + dtypeName(t.Elem.DType) + ")"
	}
	return ""
}

func dtypeName(d tensor.DType) string {
	switch d {
	case tensor.Float32:
		return "float"
	case tensor.Float64:
		return "double"
	}
	return d.String()
}
