package ops

import (
	"fmt"

	"github.com/gneiss-run/gneiss/onnx"
)

// Expand builds what n stands for from other operators, for a version whose
// Expand is set. n's inputs must have their types. It returns the new nodes,
// which are not in the graph yet, and one value per output of the operator.
func Expand(n *onnx.Node, set *Set) ([]*onnx.Node, []*onnx.Value, error) {
	if set == nil {
		set = Standard()
	}
	_, v, err := set.Lookup(n.Domain, n.Op, n.Opset)
	if err != nil {
		return nil, nil, err
	}
	if v.Expand == nil {
		return nil, nil, fmt.Errorf("%w: operator %s has no expansion", ErrUnsupported, n.Op)
	}
	if err := v.CheckArity(n); err != nil {
		return nil, nil, err
	}
	b := NewBuilder(n.Graph)
	b.Set = set
	c := &ExpandContext{Builder: b, attrs: attrs{node: n}}
	out, err := v.Expand(c)
	switch {
	case err != nil:
		return nil, nil, err
	case c.attrs.err != nil:
		return nil, nil, c.attrs.err
	case b.Err() != nil:
		return nil, nil, b.Err()
	case len(out) < len(n.Out):
		return nil, nil, fmt.Errorf("expansion gives %d outputs, want %d", len(out), len(n.Out))
	}
	return b.Nodes, out, nil
}
