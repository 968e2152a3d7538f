package quantize

import "github.com/gneiss-run/gneiss/onnx"

// Check returns an error if s names a node or an operator that g and the
// graphs nested in it do not have. The error suggests names that look alike.
func (s *Selection) Check(g *onnx.Graph) error { return s.check(g) }

// Allows reports whether n may be changed, and if not, why.
func (s *Selection) Allows(n *onnx.Node) (ok bool, why string) { return s.allows(n) }
