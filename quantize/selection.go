package quantize

import (
	"fmt"
	"slices"
	"strings"

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
				return fmt.Errorf("%s: the model has no node %q%s", what, name, like(name, known))
			}
		}
	}
	for _, op := range s.Ops {
		if !ops[op] {
			return fmt.Errorf("operators: the model has no %q%s", op, like(op, ops))
		}
	}
	return nil
}

// like suggests up to three of the known names.
func like(name string, known map[string]bool) string {
	type near struct {
		name string
		far  int
	}
	var all []near
	for k := range known {
		if d := distance(strings.ToLower(name), strings.ToLower(k)); d <= max(2, len(name)/3) {
			all = append(all, near{k, d})
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.SortFunc(all, func(a, b near) int {
		if a.far != b.far {
			return a.far - b.far
		}
		return strings.Compare(a.name, b.name)
	})
	var names []string
	for _, n := range all[:min(3, len(all))] {
		names = append(names, fmt.Sprintf("%q", n.name))
	}
	return "; did you mean " + strings.Join(names, " or ") + "?"
}

// distance is the number of bytes to insert, remove or replace that make a into b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := corner
			if a[i] != b[j] {
				cost++
			}
			corner = row[j+1]
			row[j+1] = min(cost, row[j]+1, corner+1)
		}
	}
	return row[len(b)]
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
