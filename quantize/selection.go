package quantize

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gneiss-run/gneiss/internal/near"
	"github.com/gneiss-run/gneiss/onnx"
)

// Selection says which nodes may be quantised.
type Selection struct {
	// Exclude lists nodes that stay as they are, by name or by the name of an output.
	Exclude []string
	// Include lists the nodes that may be quantised; empty: all.
	Include []string
	// Ops lists the operators that may be quantised; empty: all that can be, but
	// for those that Static leaves in transformers.
	Ops []string
}

// NodeName returns how messages call n, and how a Selection may.
func NodeName(n *onnx.Node) string {
	if n.Name != "" {
		return n.Name
	}
	for _, v := range n.Out {
		if v != nil {
			return v.Name
		}
	}
	return n.Op
}

// Check returns an error if s names a node or an operator that g and the graphs
// nested in it do not have. It suggests the names that look most like it.
func (s *Selection) Check(g *onnx.Graph) error {
	known := map[string]bool{}
	ops := map[string]bool{}
	g.Walk(func(h *onnx.Graph) {
		for _, n := range h.Nodes {
			ops[n.Op] = true
			known[n.Name] = true
			for _, v := range n.Out {
				if v != nil {
					known[v.Name] = true
				}
			}
		}
	})
	delete(known, "")
	for what, names := range map[string][]string{"exclude": s.Exclude, "include": s.Include} {
		for _, name := range names {
			if !known[name] {
				return fmt.Errorf("%s: the model has no node %q%s", what, name, near.Hint(name, slices.Collect(maps.Keys(known))))
			}
		}
	}
	for _, op := range s.Ops {
		if !ops[op] {
			return fmt.Errorf("operators: the model has no %q%s", op, near.Hint(op, slices.Collect(maps.Keys(ops))))
		}
	}
	return nil
}

// Allows reports whether n may be changed, and if not, why.
func (s *Selection) Allows(n *onnx.Node) (ok bool, why string) {
	named := func(list []string) bool {
		return slices.Contains(list, n.Name) && n.Name != "" ||
			slices.ContainsFunc(n.Out, func(v *onnx.Value) bool { return v != nil && slices.Contains(list, v.Name) })
	}
	switch {
	case named(s.Exclude):
		return false, "excluded"
	case len(s.Include) > 0 && !named(s.Include):
		return false, "not among the included nodes"
	case len(s.Ops) > 0 && !slices.Contains(s.Ops, n.Op):
		return false, "not among the chosen operators"
	}
	return true, ""
}
