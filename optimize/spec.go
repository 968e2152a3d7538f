package optimize

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// Leftovers lists what a level promises to remove and m still has: after
// Portable no rule applies, no node is a constant or an Identity between
// operators, no operator is private, and nothing is computed that nobody reads.
// The types of m must be inferred; m is not changed. Level None promises nothing.
func Leftovers(m *onnx.Model, level Level, o Options) ([]string, error) {
	if level == None {
		return nil, nil
	}
	all := stages(level)
	last := all[len(all)-1]
	m = m.Clone()
	s := &state{m: m, g: m.Graph, o: o, set: o.Set, report: &Report{Counts: map[string]int{}}}
	if s.set == nil {
		s.set = ops.Standard()
	}
	if err := s.infer(true); err != nil {
		return nil, err
	}
	if len(all) > 1 {
		defer anyOpset(m.Graph)()
	}
	outs := s.outputs()
	var left []string
	note := func(n *onnx.Node, what string) { left = append(left, fmt.Sprintf("%v: %s", n, what)) }
	m.Graph.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			dead := true
			for _, v := range n.Out {
				dead = dead && (v == nil || v.Uses() == 0 && !outs[v])
			}
			switch {
			case dead:
				note(n, "nothing reads it")
			case n.Op == "Constant" && ops.NormalDomain(n.Domain) == "":
				note(n, "it is a constant")
			case n.Op == "Identity" && ops.NormalDomain(n.Domain) == "" && !outs[n.Out[0]]:
				note(n, "it is between operators")
			case n.Domain == "x" && level == Portable:
				note(n, "it is private")
			}
			for _, p := range last.passes {
				for _, r := range p.rules {
					if s.applies(r, n, outs) {
						note(n, "rule "+r.Name+" applies")
					}
				}
			}
		}
	})
	return left, nil
}

// applies reports whether r would rewrite n.
func (s *state) applies(r *Rule, n *onnx.Node, outs map[*onnx.Value]bool) bool {
	return match(s.set, r.Pattern, n, func(m *Match) bool {
		if !closed(m, outs) || r.Where != nil && !r.Where(m) {
			return false
		}
		out, _, err := s.rewrite(r, m)
		return err == nil && out != nil
	})
}
