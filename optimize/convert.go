package optimize

import (
	"fmt"
	"slices"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/onnx/schema"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/tensor"
)

// ConvertOpset rewrites m so that it declares version target of the domain and
// means the same. Inputs that used to be attributes, changed defaults and
// changed meanings are translated in both directions; an operator that the
// target lacks is written out in others where the standard defines it so. If a
// node cannot be said in the target version, the error names it and the reason,
// and m is unchanged. Model-local functions keep the opsets they import.
func ConvertOpset(m *onnx.Model, domain string, target int) error {
	return convertOpset(m, domain, target, ops.Standard())
}

// align converts nodes that mean another opset than the model declares, as
// inlined functions bring them. Where that is not possible they stay: they run,
// but the model cannot be saved.
func align(m *onnx.Model, set *ops.Set) {
	for domain, declared := range m.Opsets {
		mixed := false
		m.Graph.Walk(func(g *onnx.Graph) {
			for _, n := range g.Nodes {
				mixed = mixed || n.Domain == domain && n.Opset != declared
			}
		})
		if mixed && declared > 0 {
			_ = convertOpset(m, domain, declared, set) // m is unchanged on an error
		}
	}
}

func convertOpset(m *onnx.Model, domain string, target int, set *ops.Set) error {
	domain = ops.NormalDomain(domain)
	if newest := schema.Newest(domain); target < 1 || newest > 0 && target > newest {
		return fmt.Errorf("optimize: %w: there is no opset %d of domain %q: it has 1 to %d", ops.ErrUnsupported, target, domain, newest)
	}
	k := m.Clone()
	c := &converter{m: k, domain: domain, target: target, set: set}
	if err := c.run(); err != nil {
		return fmt.Errorf("optimize: opset %d: %w", target, err)
	}
	m.Graph, m.Opsets, m.IRVersion = k.Graph, k.Opsets, k.IRVersion
	return nil
}

type converter struct {
	m      *onnx.Model
	domain string
	target int
	set    *ops.Set
}

func (c *converter) run() error {
	if c.m.IRVersion < 4 { // initializers had to be inputs, which new ones are not
		fixDefaults(c.m)
	}
	// Ranks and element types decide some conversions. What cannot be inferred
	// is missed only if it is needed.
	if err := Infer(c.m, InferOptions{Set: c.set}); err != nil {
		return err
	}
	c.m.Graph.Opsets[c.domain] = c.target
	c.m.Opsets[c.domain] = c.target
	var err error
	c.m.Graph.Walk(func(g *onnx.Graph) {
		g.Opsets = c.m.Graph.Opsets
		for i := 0; i < len(g.Nodes) && err == nil; i++ {
			n := g.Nodes[i]
			if ops.NormalDomain(n.Domain) != c.domain || n.Opset == c.target {
				continue
			}
			if e := c.node(n); e != nil {
				err = fmt.Errorf("%v: %w", n, e)
			}
			if n.Graph == nil { // others are in its place: look at them
				i = max(i-1, -1)
			}
		}
	})
	if err != nil {
		return err
	}
	c.m.Graph.Prune()
	return Infer(c.m, InferOptions{Set: c.set})
}

// node converts one node. It may take it out of the graph and put others in its place.
func (c *converter) node(n *onnx.Node) error {
	versions := schema.Versions(c.domain, n.Op)
	if len(versions) == 0 {
		return fmt.Errorf("%w: the operator is not in the standard", ops.ErrUnsupported)
	}
	if n.Op == "CastLike" && c.target < 15 && len(n.In) == 2 && n.In[1].Type.DType != tensor.Undefined {
		n.Attrs = append(slices.Clone(n.Attrs), onnx.NewAttrs("to", n.In[1].Type.DType)...)
		drop(n, 1)
		n.Op = "Cast"
		versions = schema.Versions("", n.Op)
	}
	if versions[0].Since > c.target && n.Op != "Resize" && n.Op != "ScatterElements" { // these had other names
		return c.writeOut(n)
	}
	up := n.Opset < c.target
	for v := n.Opset; v != c.target && n.Graph != nil; {
		at, step := c.next(n.Op, v, up)
		if at == 0 {
			break
		}
		if step != nil {
			f := step.down
			if up {
				f = step.up
			}
			if f == nil {
				return fmt.Errorf("%w: no conversion across opset %d", ops.ErrUnsupported, at)
			}
			if err := f(c, n); err != nil {
				return err
			}
		} else if c.domain != "" && !sameSignature(schema.Lookup(c.domain, n.Op, at-1), schema.Lookup(c.domain, n.Op, at)) {
			return fmt.Errorf("%w: no conversion across version %d of domain %q", ops.ErrUnsupported, at, c.domain)
		}
		if v = at; !up {
			v = at - 1
		}
	}
	if n.Graph == nil {
		return nil
	}
	from := n.Opset
	n.Opset = c.target
	s := schema.Lookup(c.domain, n.Op, c.target)
	if s == nil || s.Deprecated {
		return fmt.Errorf("%w: the operator does not exist there", ops.ErrUnsupported)
	}
	if c.target < from {
		return checkTypes(n, s)
	}
	return nil
}

// next returns the next opset, on the way from v, at which the operator
// changed, and what to do there; 0 if there is none.
func (c *converter) next(op string, v int, up bool) (int, *step) {
	at := 0
	see := func(k int) {
		if up && k > v && k <= c.target && (at == 0 || k < at) || !up && k <= v && k > c.target && k > at {
			at = k
		}
	}
	for _, s := range schema.Versions(c.domain, op) {
		see(s.Since)
	}
	if c.domain != "" {
		return at, nil
	}
	for i := range steps[op] {
		see(steps[op][i].at)
	}
	for i := range steps[op] {
		if steps[op][i].at == at {
			return at, &steps[op][i]
		}
	}
	return at, nil
}

// writeOut replaces n by the operators that define it, which are converted in turn.
func (c *converter) writeOut(n *onnx.Node) error {
	if f := definitions[n.Op]; f != nil && c.domain == "" {
		return f(c, n)
	}
	made, err := expand(c.m, n, c.set)
	if err != nil {
		return err
	}
	if made == 0 {
		return fmt.Errorf("%w: the operator is not there before opset %d and has no definition by others",
			ops.ErrUnsupported, schema.Versions(c.domain, n.Op)[0].Since)
	}
	return Infer(c.m, InferOptions{Set: c.set})
}

func sameSignature(a, b *schema.Op) bool {
	if a == nil || b == nil || len(a.Inputs) != len(b.Inputs) || len(a.Outputs) != len(b.Outputs) || len(a.Attributes) != len(b.Attributes) {
		return false
	}
	for name, x := range a.Attributes {
		if y, ok := b.Attributes[name]; !ok || x.Type != y.Type {
			return false
		}
	}
	return true
}

// checkTypes says whether an older version takes the element types that n has.
func checkTypes(n *onnx.Node, s *schema.Op) error {
	fits := func(p *schema.Param, v *onnx.Value) error {
		name := onnxType(v.Type)
		if name == "" {
			return nil
		}
		if list, ok := s.Types[p.Type]; ok && !slices.Contains(list, name) || !ok && p.Type != name {
			return fmt.Errorf("%w: %s of type %v", ops.ErrUnsupported, p.Name, v.Type)
		}
		return nil
	}
	for i, v := range n.In {
		if v == nil {
			continue
		}
		p := s.InputParam(i)
		if p == nil {
			return fmt.Errorf("%w: input %d does not exist there", ops.ErrUnsupported, i)
		}
		if err := fits(p, v); err != nil {
			return err
		}
	}
	for i, v := range n.Out {
		if p := s.OutputParam(i); p != nil && v != nil {
			if err := fits(p, v); err != nil {
				return err
			}
		}
	}
	for i := len(n.Out) - 1; i >= 0; i-- {
		if s.OutputParam(i) != nil {
			break
		}
		if v := n.Out[i]; v != nil && (v.Uses() > 0 || n.Graph.IsOutput(v)) {
			return fmt.Errorf("%w: output %d does not exist there", ops.ErrUnsupported, i)
		}
		n.Out = n.Out[:i]
	}
	return nil
}

// onnxType returns the type string of t, such as "seq(tensor(float))"; "" if
// not enough is known.
func onnxType(t onnx.Type) string {
	switch {
	case t.Kind == onnx.TensorKind && t.DType != tensor.Undefined:
		return "tensor(" + onnxName(t.DType) + ")"
	case t.Kind == onnx.SequenceKind && t.Elem != nil:
		if e := onnxType(*t.Elem); e != "" {
			return "seq(" + e + ")"
		}
	case t.Kind == onnx.OptionalKind && t.Elem != nil:
		if e := onnxType(*t.Elem); e != "" {
			return "optional(" + e + ")"
		}
	}
	return ""
}

// onnxName returns what ONNX's type strings call d.
func onnxName(d tensor.DType) string {
	switch d {
	case tensor.Float32:
		return "float"
	case tensor.Float64:
		return "double"
	}
	return d.String()
}

// step is what happens to a node where its operator changed: up on the way to
// version at, down on the way back to at-1. A change without a step is one of
// types only.
type step struct {
	at       int
	up, down func(*converter, *onnx.Node) error
}

// The helpers below are what steps are made of.

// need makes an error about something the other version cannot say.
func need(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ops.ErrUnsupported}, args...)...)
}

func keep(*converter, *onnx.Node) error { return nil }

// build runs f with a Builder and inserts its nodes before n.
func (c *converter) build(n *onnx.Node, f func(*ops.Builder)) error {
	b := ops.NewBuilder(n.Graph)
	b.Set = c.set
	f(b)
	if err := b.Err(); err != nil {
		return err
	}
	b.Insert(n)
	return nil
}

// setConst makes input i of n an initializer.
func (c *converter) setConst(n *onnx.Node, i int, t *tensor.Tensor) {
	n.SetInput(i, n.Graph.AddConst(n.Graph.NewConst("", t)))
}

// drop removes input i and those after it.
func drop(n *onnx.Node, i int) {
	for j := len(n.In) - 1; j >= i; j-- {
		n.SetInput(j, nil)
	}
	n.In = n.In[:min(i, len(n.In))]
}

func toInt64(v []int) []int64 {
	out := make([]int64, len(v))
	for i, x := range v {
		out[i] = int64(x)
	}
	return out
}

// intsToInput moves an ints attribute to input i.
func intsToInput(name string, i int) func(*converter, *onnx.Node) error {
	return func(c *converter, n *onnx.Node) error {
		a := n.Attrs.Get(name)
		if a == nil {
			return nil
		}
		v, err := onnx.Attribute(n, name, []int64(nil))
		if err != nil {
			return err
		}
		c.setConst(n, i, tensor.Of(slices.Clone(v), len(v)))
		n.Attrs = n.Attrs.Without(name)
		return nil
	}
}

// inputToInts is the way back of intsToInput.
func inputToInts(name string, i int) func(*converter, *onnx.Node) error {
	return func(c *converter, n *onnx.Node) error {
		v, given, ok := constInts(n, i, name)
		if !ok {
			return need("%s is computed, and the older version wants it as an attribute", name)
		}
		if input(n, i) == nil {
			return nil
		}
		drop(n, i)
		if given {
			n.Attrs = n.Attrs.Set(name, toInt64(v))
		}
		return nil
	}
}

// without removes attributes that have no meaning any more, and, on the way
// back, need not be there.
func without(names ...string) func(*converter, *onnx.Node) error {
	return func(_ *converter, n *onnx.Node) error {
		n.Attrs = n.Attrs.Without(names...)
		return nil
	}
}

// attrsGone lets the older version be used if the attributes that it lacks have the
// values that say what it does. pairs is name, value, …; a nil value stands for any.
func attrsGone(pairs ...any) func(*converter, *onnx.Node) error {
	return func(_ *converter, n *onnx.Node) error {
		for i := 0; i < len(pairs); i += 2 {
			name := pairs[i].(string)
			a := n.Attrs.Get(name)
			if a == nil {
				continue
			}
			if want := pairs[i+1]; want != nil && !attrIs(a.Value, want) {
				return need("attribute %s is %v", name, a.Value)
			}
			n.Attrs = n.Attrs.Without(name)
		}
		return nil
	}
}

func attrIs(v, want any) bool {
	switch w := want.(type) {
	case int:
		if list, ok := v.([]int64); ok { // all elements
			return !slices.ContainsFunc(list, func(x int64) bool { return x != int64(w) })
		}
		return v == int64(w)
	case float64:
		return v == float32(w)
	}
	return v == want
}

// added is the step of a version that only brought attributes with defaults
// that keep the old meaning.
func added(at int, pairs ...any) step { return step{at: at, up: keep, down: attrsGone(pairs...)} }

// chain runs one after the other.
func chain(fs ...func(*converter, *onnx.Node) error) func(*converter, *onnx.Node) error {
	return func(c *converter, n *onnx.Node) error {
		for _, f := range fs {
			if err := f(c, n); err != nil || n.Graph == nil {
				return err
			}
		}
		return nil
	}
}

// setDefault gives an attribute that is absent the value that the version's default was.
func setDefault(name string, v any) func(*converter, *onnx.Node) error {
	return func(_ *converter, n *onnx.Node) error {
		if n.Attrs.Get(name) == nil {
			n.Attrs = n.Attrs.Set(name, v)
		}
		return nil
	}
}

// renamed changes the values of a string attribute that is def where absent.
func renamed(name, def string, to map[string]string) func(*converter, *onnx.Node) error {
	return func(_ *converter, n *onnx.Node) error {
		v, err := onnx.Attribute(n, name, def)
		if err != nil {
			return err
		}
		if w, ok := to[v]; ok {
			v = w
		}
		n.Attrs = n.Attrs.Set(name, v)
		return nil
	}
}

// nonNegative makes negative axes count from the front, as versions before 11 want.
func nonNegative(_ *converter, n *onnx.Node) error {
	for _, name := range []string{"axis", "axes"} {
		a := n.Attrs.Get(name)
		if a == nil {
			continue
		}
		rank := n.In[0].Type.Rank()
		if n.Op == "Unsqueeze" || n.Op == "OneHot" {
			if rank = n.Out[0].Type.Rank(); rank < 0 {
				rank = -1
			}
		}
		fix := func(x int64) (int64, error) {
			if x >= 0 {
				return x, nil
			}
			if rank < 0 {
				return 0, need("axis %d is negative and the rank is unknown", x)
			}
			return x + int64(rank), nil
		}
		switch v := a.Value.(type) {
		case int64:
			x, err := fix(v)
			if err != nil {
				return err
			}
			a.Value = x
		case []int64:
			w := slices.Clone(v)
			for i := range w {
				var err error
				if w[i], err = fix(w[i]); err != nil {
					return err
				}
			}
			a.Value = w
		}
	}
	return nil
}

// axes11 is the step at which axes were allowed to be negative.
var axes11 = step{at: 11, up: keep, down: nonNegative}
