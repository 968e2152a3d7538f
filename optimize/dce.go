package optimize

import (
	"github.com/gneiss-run/gneiss/onnx"
	"github.com/gneiss-run/gneiss/ops"
)

// dce drops nodes and initializers that nothing reads, and optional outputs at
// the end of a node's list that nothing reads.
func (s *state) dce() error {
	if s.more() && s.g.Prune() > 0 {
		s.rewrote("dce", nil, nil)
	}
	outs := s.outputs()
	s.g.Walk(func(g *onnx.Graph) {
		for _, n := range g.Nodes {
			if !s.more() {
				return
			}
			op, v, err := s.set.Lookup(n.Domain, n.Op, n.Opset)
			// How many outputs BatchNormalization has tells its mode.
			if err != nil || op.Name == "BatchNormalization" || v.Out.Max == ops.Many {
				continue
			}
			k := len(n.Out)
			for k > v.Out.Min && (n.Out[k-1] == nil || n.Out[k-1].Uses() == 0 && !outs[n.Out[k-1]]) {
				k--
			}
			if k < len(n.Out) {
				n.Out = n.Out[:k]
				s.rewrote("dce", []*onnx.Node{n}, nil)
			}
		}
	})
	return nil
}
