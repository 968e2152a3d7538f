package optimize

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
	"github.com/gneiss-run/gneiss/ops/functions"
)

// maxInlined bounds the nodes that inlining may make: functions that call each
// other twice in a row of thirty make a billion.
const maxInlined = 1 << 18

// Inline replaces every call of a model-local function by the function's body,
// and every operator that set (nil: ops.Standard) has no kernel for, but whose
// meaning is defined by other operators, by these. Model-local functions go
// before operators of the same name. A function that calls itself
// is an error.
func Inline(m *onnx.Model, set *ops.Set) error {
	if m.Graph == nil {
		return fmt.Errorf("optimize: %w: the model has no graph", onnx.ErrInvalid)
	}
	if set == nil {
		set = ops.Standard()
	}
	if len(m.Functions) > 0 {
		if err := inlineLocal(m); err != nil {
			return fmt.Errorf("optimize: %w", err)
		}
	}
	return expandAll(m, func(n *onnx.Node) bool { return !runs(n, set) }, set)
}

// Expand replaces the nodes that want picks by their definitions, where other
// operators define them: by the function body of the standard or the version's
// Expand. It infers types on the way; other nodes stay as they are.
func Expand(m *onnx.Model, want func(*onnx.Node) bool) error {
	return expandAll(m, want, ops.Standard())
}

// runs reports whether n has a kernel.
func runs(n *onnx.Node, set *ops.Set) bool {
	_, v, err := set.Lookup(n.Domain, n.Op, n.Opset)
	return err == nil && v.Build != nil
}

// expandAll replaces the nodes that want picks, where they have an expansion,
// until none is left. Types are inferred on the way, since expansions may
// depend on them.
func expandAll(m *onnx.Model, want func(*onnx.Node) bool, set *ops.Set) error {
	some := false
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			some = some || want(n)
		}
	})
	if !some {
		return nil
	}
	f := newInferrer(m, InferOptions{Set: set})
	made := 0
	f.expand = func(n *onnx.Node) (bool, error) {
		if !want(n) {
			return false, nil
		}
		k, err := expand(m, n, set)
		made += k
		if err == nil && made > maxInlined {
			err = fmt.Errorf("%w: more than %d nodes by expansion", onnx.ErrLimit, maxInlined)
		}
		return k > 0, err
	}
	return f.run(m.Graph)
}

// expand replaces n by what it stands for, by its version's Expand or the
// function body of the standard, and returns the number of new nodes: 0 if it
// has no expansion.
func expand(m *onnx.Model, n *onnx.Node, set *ops.Set) (int, error) {
	g := n.Graph
	_, v, err := set.Lookup(n.Domain, n.Op, n.Opset)
	if err != nil || v.Expand == nil {
		f, ok := functions.Body(n.Domain, n.Op, n.Opset)
		if !ok {
			return 0, nil
		}
		k, err := instantiate(m, n, f)
		return max(k, 1), err
	}
	nodes, out, err := ops.Expand(n, set)
	if err != nil {
		return 0, err
	}
	nameAfter(n, nodes)
	g.Insert(n, nodes...)
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		if out[i] == nil {
			return 0, fmt.Errorf("expansion gives no output %d", i)
		}
		g.Replace(v, out[i])
	}
	g.Remove(n)
	return max(len(nodes), 1), nil
}

// nameAfter names nodes that come in place of n, so that messages about them lead to it.
func nameAfter(n *onnx.Node, nodes []*onnx.Node) {
	prefix := n.Name
	if prefix == "" {
		prefix = n.Op
		if len(n.Out) > 0 && n.Out[0] != nil {
			prefix = n.Out[0].Name
		}
	}
	for i, k := range nodes {
		if k.Name == "" {
			k.Name = fmt.Sprintf("%s/%s_%d", prefix, k.Op, i)
		}
	}
}

// inlineLocal replaces all calls of m's own functions.
func inlineLocal(m *onnx.Model) error {
	l := &local{m: m, fns: map[string]*onnx.Function{}, state: map[string]int{}}
	for _, f := range m.Functions {
		key := functionKey(f.Domain, f.Name, f.Overload)
		if l.fns[key] != nil {
			return fmt.Errorf("%w: function %s is defined twice", onnx.ErrInvalid, f.Name)
		}
		l.fns[key] = f.Clone()
	}
	if err := l.calls(m.Graph); err != nil {
		return err
	}
	if len(m.Training) == 0 {
		m.Functions = nil
	}
	return nil
}

func functionKey(domain, name, overload string) string {
	return ops.NormalDomain(domain) + "\x00" + name + "\x00" + overload
}

type local struct {
	m     *onnx.Model
	fns   map[string]*onnx.Function
	state map[string]int // 1: its calls are being inlined, 2: done
	made  int
}

// calls replaces the calls in g and its nested graphs.
func (l *local) calls(g *onnx.Graph) error {
	var calls []*onnx.Node
	g.Walk(func(h *onnx.Graph) {
		for _, n := range h.Nodes {
			if l.fns[functionKey(n.Domain, n.Op, n.Overload)] != nil {
				calls = append(calls, n)
			}
		}
	})
	for _, n := range calls {
		key := functionKey(n.Domain, n.Op, n.Overload)
		f := l.fns[key]
		switch l.state[key] {
		case 1:
			return fmt.Errorf("%w: function %s calls itself", onnx.ErrInvalid, f.Name)
		case 0:
			l.state[key] = 1
			if err := l.calls(f.Graph); err != nil {
				return fmt.Errorf("function %s: %w", f.Name, err)
			}
			l.state[key] = 2
		}
		k, err := instantiate(l.m, n, f)
		if err != nil {
			return fmt.Errorf("%v: %w", n, err)
		}
		if l.made += k; l.made > maxInlined {
			return fmt.Errorf("%w: more than %d nodes by inlining functions", onnx.ErrLimit, maxInlined)
		}
	}
	return nil
}

// instantiate replaces the call n by a copy of f's body and returns the number
// of nodes.
func instantiate(m *onnx.Model, n *onnx.Node, f *onnx.Function) (int, error) {
	g := n.Graph
	if len(n.In) > len(f.Graph.Inputs) {
		return 0, fmt.Errorf("%d inputs, want at most %d", len(n.In), len(f.Graph.Inputs))
	}
	if len(n.Out) > len(f.Graph.Outputs) {
		return 0, fmt.Errorf("%d outputs, want at most %d", len(n.Out), len(f.Graph.Outputs))
	}
	with := map[*onnx.Value]*onnx.Value{}
	for i, v := range f.Graph.Inputs {
		with[v] = nil
		if i < len(n.In) {
			with[v] = n.In[i]
		}
	}
	body := f.Graph.CloneInto(g, g.Opsets, with)
	body.Inputs = nil
	made := 0
	prefix := n.Name
	if prefix == "" {
		prefix = n.Op
	}
	body.Walk(func(h *onnx.Graph) {
		made += len(h.Nodes)
		for _, v := range h.Inputs {
			v.Name = g.FreshName(v.Name)
		}
		for _, v := range h.Consts {
			v.Name = g.FreshName(v.Name)
		}
		for _, k := range h.Nodes {
			if k.Name != "" {
				k.Name = prefix + "/" + k.Name
			}
			k.TrimInputs()
			bind(k, n, f)
			for _, v := range k.Out {
				if v != nil {
					v.Name = g.FreshName(v.Name)
				}
			}
		}
	})
	nameAfter(n, body.Nodes)
	for d, v := range f.Opsets {
		if _, ok := m.Opsets[d]; !ok {
			m.Opsets[d] = v
		}
	}
	outs := body.Outputs
	g.Splice(n, body)
	for i, v := range n.Out {
		if v == nil {
			continue
		}
		if outs[i] == nil {
			return 0, fmt.Errorf("output %d is an input that is absent", i)
		}
		if outs[i].Type.Kind == onnx.UnknownKind {
			outs[i].Type = v.Type
		}
		g.Replace(v, outs[i])
	}
	g.Remove(n)
	return made, nil
}

// bind puts the attributes of the call in place of the references of a body
// node k. One that neither the call nor a default gives is left out.
func bind(k, call *onnx.Node, f *onnx.Function) {
	if !hasRef(k) {
		return
	}
	var as onnx.Attrs
	for _, a := range k.Attrs {
		if a.Ref == "" {
			as = append(as, a)
			continue
		}
		src := call.Attrs.Get(a.Ref)
		if src == nil {
			src = f.AttrDefaults.Get(a.Ref)
		}
		if src == nil {
			continue
		}
		v := src.Value
		switch b := v.(type) { // each use has a copy of its own
		case *onnx.Graph:
			v = b.CloneInto(k.Graph, k.Graph.Opsets, map[*onnx.Value]*onnx.Value{})
		case []*onnx.Graph:
			c := make([]*onnx.Graph, len(b))
			for i := range b {
				c[i] = b[i].CloneInto(k.Graph, k.Graph.Opsets, map[*onnx.Value]*onnx.Value{})
			}
			v = c
		}
		as = append(as, onnx.Attr{Name: a.Name, Value: v, Ref: src.Ref, Doc: a.Doc})
	}
	k.Attrs = as
}

func hasRef(n *onnx.Node) bool {
	for i := range n.Attrs {
		if n.Attrs[i].Ref != "" {
			return true
		}
	}
	return false
}
